defmodule FoundationAgent.Sender.OTLP do
  @moduledoc """
  OTLP/HTTP in JSON: complete spans and log records.

  Items: `{:span, json}` and `{:log, json}`, each an element of `spans` or `logRecords` of the protocol.
  """

  @behaviour FoundationAgent.Sender.Wire
  require Logger

  alias FoundationAgent.{Config, Events, JSON, Queue}

  @impl true
  def queue, do: :otlp

  @impl true
  def address(config), do: config.otlp

  @impl true
  def ready?, do: true

  @impl true
  def lost, do: :ok

  @impl true
  def report(count) do
    Events.report_drops(count, "The application's queue of spans and log records was full")
  end

  @impl true
  def request([{_, {kind, _}, _} | _] = entries) do
    same = Enum.take_while(entries, fn {_, item, _} -> elem(item, 0) == kind end)
    records = same |> Enum.map(fn {_, {_, json}, _} -> json end) |> Enum.intersperse(?,)
    {path, body} = wrap(kind, records)
    {{"POST", path, "application/json"}, body, length(same)}
  end

  defp wrap(:span, records), do: {"/v1/traces", wrap("resourceSpans", "scopeSpans", "spans", records)}
  defp wrap(:log, records), do: {"/v1/logs", wrap("resourceLogs", "scopeLogs", "logRecords", records)}

  defp wrap(resources, scopes, records, json) do
    config = Config.get()
    attributes = attributes(Map.put(config.resource, "agent.id", config.agent_id))

    [
      ~s({"),
      resources,
      ~s(":[{"resource":{"attributes":),
      attributes,
      ~s(},"),
      scopes,
      ~s(":[{"scope":{"name":"foundation_agent"},"),
      records,
      ~s(":[),
      json,
      "]}]}]}"
    ]
  end

  @impl true
  def answer({status, _, _}, entries) when status in 200..299,
    do: {Enum.map(entries, fn _ -> :accepted end), nil}

  def answer({status, _, _}, _) when status in [408, 429, 502, 503, 504], do: {[], 1_000}

  def answer({status, _, body}, entries) do
    Logger.warning(
      "foundation-agent refuses #{length(entries)} OTLP records: #{status} #{String.slice(body, 0, 500)}",
      domain: [:foundation_agent]
    )

    {Enum.map(entries, fn _ -> :rejected end), nil}
  end

  @doc "Queues a span or a log record."
  @spec put(:span | :log, iodata()) :: :ok | {:error, :dropped}
  def put(kind, json) do
    json = IO.iodata_to_binary(json)
    Queue.put(:otlp, {kind, json}, byte_size(json))
  end

  @doc "A map as OTLP attributes."
  @spec attributes(map()) :: iodata()
  def attributes(map) do
    JSON.encode(
      for {key, value} <- map, value != nil, do: %{"key" => to_string(key), "value" => value(value)}
    )
  end

  @doc "A term as OTLP's AnyValue."
  @spec value(term()) :: map()
  def value(value) when is_boolean(value), do: %{"boolValue" => value}

  def value(value) when is_integer(value) and value in -0x8000000000000000..0x7FFFFFFFFFFFFFFF,
    do: %{"intValue" => Integer.to_string(value)}

  def value(value) when is_float(value), do: %{"doubleValue" => value}
  def value(value) when is_atom(value), do: %{"stringValue" => Atom.to_string(value)}

  def value(value) when is_binary(value),
    do: %{"stringValue" => if(String.valid?(value), do: value, else: inspect(value))}

  def value(value) when is_map(value) and not is_struct(value) do
    %{"kvlistValue" => %{"values" => for({k, v} <- value, do: %{"key" => key(k), "value" => value(v)})}}
  end

  def value([_ | _] = value),
    do:
      if(List.improper?(value),
        do: inspected(value),
        else: %{"arrayValue" => %{"values" => Enum.map(value, &value/1)}}
      )

  def value(value), do: inspected(value)

  defp key(key) when is_binary(key) or is_atom(key), do: to_string(key)
  defp key(key), do: inspect(key)

  defp inspected(value), do: %{"stringValue" => inspect(value, limit: 50, printable_limit: 1_000)}
end
