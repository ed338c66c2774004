defmodule FoundationAgent.Span do
  @moduledoc """
  A span as the application holds it, and how it is told: in halves to the applications' door, as it
  happens, or whole by OTLP. Ids are hexadecimal, as W3C Trace Context writes them.
  """

  alias FoundationAgent.{Config, JSON}
  alias FoundationAgent.Sender.OTLP

  @enforce_keys [:name, :trace_id, :span_id, :process, :start_time, :started]
  defstruct [
    :name,
    :trace_id,
    :span_id,
    :parent_span_id,
    :process,
    :start_time,
    :started,
    :duration,
    kind: :internal,
    attributes: %{},
    events: [],
    links: [],
    status: nil,
    announced: nil
  ]

  @typedoc """
  `start_time` and `duration` are nanoseconds, `started` is monotonic time; `announced` is
  the link's generation in which the agent was told of its start, nil where it was not.
  """
  @type t :: %__MODULE__{
          name: String.t(),
          trace_id: String.t(),
          span_id: String.t(),
          parent_span_id: String.t() | nil,
          process: String.t(),
          start_time: integer(),
          started: integer(),
          duration: non_neg_integer() | nil,
          kind: :internal | :server | :client | :producer | :consumer,
          attributes: map(),
          events: [{String.t(), integer(), map()}],
          links: [{String.t(), String.t()}],
          status: nil | :ok | {:error, String.t()},
          announced: non_neg_integer() | nil
        }

  @kinds %{internal: 1, server: 2, client: 3, producer: 4, consumer: 5}

  @doc "A span that starts now, below a parent."
  @spec new(
          atom() | String.t(),
          map(),
          :internal | :server | :client | :producer | :consumer,
          {String.t(), String.t()} | nil
        ) :: t()
  def new(name, attributes, kind, parent) when is_map_key(@kinds, kind) do
    {trace_id, parent_span_id} = parent || {random(16), nil}

    %__MODULE__{
      name: to_string(name),
      trace_id: trace_id,
      span_id: random(8),
      parent_span_id: parent_span_id,
      process: process(self()),
      start_time: System.os_time(:nanosecond),
      started: System.monotonic_time(:nanosecond),
      kind: kind,
      attributes: attributes
    }
  end

  @doc "A BEAM process as the agent names it: `<0.123.0>`."
  @spec process(pid()) :: String.t()
  def process(pid), do: pid |> :erlang.pid_to_list() |> List.to_string()

  defp random(bytes), do: bytes |> :crypto.strong_rand_bytes() |> Base.encode16(case: :lower)

  @doc "The span as it is when it ends now."
  @spec ended(t(), nil | :ok | {:error, String.t()}, map()) :: t()
  def ended(span, status, attributes) do
    duration = max(System.monotonic_time(:nanosecond) - span.started, 0)
    %{span | duration: duration, status: status, attributes: Map.merge(span.attributes, attributes)}
  end

  @doc "The line that tells of its start."
  @spec start_line(t()) :: iodata()
  def start_line(span) do
    config = Config.get()

    line("span.start", span, [
      {"resource", config.resource},
      {"name", span.name},
      {"parent_span_id", span.parent_span_id},
      {"kind", span.kind},
      {"timestamp", span.start_time},
      {"attributes", span.attributes}
    ])
  end

  @doc "The line that tells of its end. `attributes` are those that came with it."
  @spec end_line(t(), map()) :: iodata()
  def end_line(span, attributes) do
    line("span.end", span, [
      {"duration_ns", span.duration},
      {"timestamp", span.start_time + span.duration},
      {"attributes", if(attributes != %{}, do: attributes)},
      {"status", status_line(span.status)}
    ])
  end

  @doc "The line that adds attributes, an event or a link."
  @spec update_line(
          t(),
          {:attributes, map()} | {:event, String.t(), integer(), map()} | {:link, String.t(), String.t()}
        ) :: iodata()
  def update_line(span, {:attributes, attributes}),
    do: line("span.attributes", span, [{"attributes", attributes}])

  def update_line(span, {:event, name, time, attributes}) do
    line("span.event", span, [{"name", name}, {"timestamp", time}, {"attributes", attributes}])
  end

  def update_line(span, {:link, trace_id, span_id}) do
    line("span.link", span, [{"link", %{"trace_id" => trace_id, "span_id" => span_id}}])
  end

  defp line(call, span, fields) do
    JSON.object([
      {"call", call},
      {"agent_id", Config.get().agent_id},
      {"process", span.process},
      {"trace_id", span.trace_id},
      {"span_id", span.span_id}
      | fields
    ])
  end

  defp status_line(nil), do: nil
  defp status_line(:ok), do: "ok"
  defp status_line({:error, message}), do: %{"code" => "error", "message" => message}

  @doc "The whole span as OTLP/JSON writes it."
  @spec otlp(t()) :: iodata()
  def otlp(span) do
    JSON.object([
      {"traceId", span.trace_id},
      {"spanId", span.span_id},
      {"parentSpanId", span.parent_span_id},
      {"name", span.name},
      {"kind", @kinds[span.kind]},
      {"startTimeUnixNano", Integer.to_string(span.start_time)},
      {"endTimeUnixNano", Integer.to_string(span.start_time + span.duration)},
      {"attributes", {:raw, OTLP.attributes(Map.put(span.attributes, "foundation.process", span.process))}},
      {"events",
       for({name, time, attributes} <- Enum.reverse(span.events), do: event(name, time, attributes))},
      {"links",
       for({trace_id, span_id} <- Enum.reverse(span.links), do: %{"traceId" => trace_id, "spanId" => span_id})},
      {"status", status_otlp(span.status)}
    ])
  end

  defp event(name, time, attributes) do
    attributes = for {key, value} <- attributes, do: %{"key" => to_string(key), "value" => OTLP.value(value)}
    %{"name" => name, "timeUnixNano" => Integer.to_string(time), "attributes" => attributes}
  end

  defp status_otlp(nil), do: nil
  defp status_otlp(:ok), do: %{"code" => 1}
  defp status_otlp({:error, message}), do: %{"code" => 2, "message" => message}
end
