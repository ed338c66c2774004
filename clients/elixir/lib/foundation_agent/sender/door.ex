defmodule FoundationAgent.Sender.Door do
  @moduledoc """
  NDJSON to the applications' door: events and the calls of spans and contexts, one object a line. A death
  travels in the same queue, as a request of its own, so that it never overtakes what the process did.

  Items: `{:line, json}`, `{:end, json, span}` (the end of a span; complete, should the agent not know it) and
  `{:call, method, path, json}`.
  """

  @behaviour FoundationAgent.Sender.Wire
  require Logger

  alias FoundationAgent.{Events, JSON, Link, Queue, Spans}

  @impl true
  def queue, do: :door

  @impl true
  def address(config), do: config.door

  @impl true
  def ready?, do: Link.up?()

  @impl true
  def lost, do: Link.lost()

  @impl true
  def report(count) do
    Events.report_drops(count, "The application's queue was full")
  end

  @impl true
  def request([{_, {:call, method, path, json}, _} | _]), do: {{method, path, "application/json"}, json, 1}

  def request(entries) do
    lines = Enum.take_while(entries, fn {_, item, _} -> elem(item, 0) != :call end)
    body = for {_, item, _} <- lines, do: [elem(item, 1), ?\n]
    {{"POST", "/v1/events", "application/x-ndjson"}, body, length(lines)}
  end

  @impl true
  def answer({status, _, _}, [{_, {:call, _, _, _}, _}]) do
    case status do
      status when status < 300 -> {[:accepted], nil}
      status when status in [408, 429, 503] -> {[], 1_000}
      _ -> {[:rejected], nil}
    end
  end

  def answer({202, _, body}, entries), do: {fates(entries, length(entries), decode(body)), nil}

  def answer({status, headers, body}, entries) when status in [408, 429, 503] do
    details = decode(body)["error"]["details"] || %{}
    {fates(entries, details["consumed"] || 0, details), retry_after(headers)}
  end

  # Refused as a whole, and would be again.
  def answer({status, _, body}, entries) do
    Logger.warning(
      "foundation-agent refuses #{length(entries)} lines: #{status} #{String.slice(body, 0, 500)}",
      domain: [:foundation_agent]
    )

    {Enum.map(entries, fn _ -> :rejected end), nil}
  end

  defp fates(entries, consumed, answer) do
    errors = Map.new(answer["errors"] || [], &{&1["line"], &1})
    if errors != %{}, do: log(errors, answer["rejected"])

    for {{_, item, _}, line} <- entries |> Enum.take(consumed) |> Enum.with_index(1) do
      case errors do
        %{^line => error} -> rejected(item, error["code"])
        _ -> :accepted
      end
    end
  end

  # The calls were switched off, or the agent that knew of the start is gone: the span is sent whole.
  defp rejected({:end, _, span}, code) when code in ["calls_disabled", "no_open_spans", "nothing_open"] do
    Spans.put_complete(span)
    :rejected
  end

  defp rejected(_, _), do: :rejected

  defp log(errors, count) do
    {_, first} = Enum.min(errors)

    Logger.debug("foundation-agent rejected #{count} lines; the first: #{first["code"]} #{first["message"]}",
      domain: [:foundation_agent]
    )
  end

  defp retry_after(headers) do
    case Integer.parse(headers["retry-after"] || "1") do
      {seconds, _} -> seconds * 1_000
      :error -> 1_000
    end
  end

  defp decode(body) do
    case JSON.decode(body) do
      {:ok, %{} = answer} -> answer
      _ -> %{}
    end
  end

  @doc "Queues a line. Option: `:reserve`, of `FoundationAgent.Queue.put/4`."
  @spec line(iodata(), keyword()) :: :ok | {:error, :dropped}
  def line(json, options \\ []) do
    json = IO.iodata_to_binary(json)
    Queue.put(:door, {:line, json}, byte_size(json), options)
  end

  @doc "Queues the end of a span, with the span itself."
  @spec end_line(iodata(), FoundationAgent.Span.t()) :: :ok | {:error, :dropped}
  def end_line(json, span) do
    json = IO.iodata_to_binary(json)
    Queue.put(:door, {:end, json, span}, 3 * byte_size(json), reserve: true)
  end

  @doc "Queues a request that must come after the lines before it."
  @spec call(String.t(), String.t(), iodata()) :: :ok | {:error, :dropped}
  def call(method, path, json) do
    json = IO.iodata_to_binary(json)
    Queue.put(:door, {:call, method, path, json}, byte_size(json), reserve: true)
  end
end
