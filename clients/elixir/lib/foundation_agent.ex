defmodule FoundationAgent do
  @moduledoc """
  What an application asks of foundation-agent: agents, events, spans, error context and flags.

  No call waits for the agent, but for those of the registry and the first `enabled_for_id?/3` of an id, which
  wait for a bounded time. With its flag off, or the agent away, a call works inside the application.
  """

  alias FoundationAgent.{Contexts, Events, Flags, Queue, Registry, Sender, Span, Spans}

  @typedoc "What one process hands to another that goes on with its work; `traceparent` as W3C writes it."
  @type propagation :: %{traceparent: String.t() | nil, context: map()}

  # Agents

  @doc "Registers a process under an id. Options: `:metadata`, `:labels`."
  @spec register(atom() | String.t(), pid(), keyword()) ::
          :ok
          | {:error,
             :already_registered | :reserved | :not_alive | {code :: String.t(), message :: String.t()}}
  def register(id, pid \\ self(), options \\ []) do
    Registry.register(id, pid, Map.new(options[:metadata] || %{}), Map.new(options[:labels] || %{}))
  end

  @doc "One agent, of this BEAM or of the host."
  @spec get(atom() | String.t()) :: {:ok, FoundationAgent.Agent.t()} | {:error, :not_found}
  defdelegate get(id), to: Registry

  @doc "All agents, in order of their ids."
  @spec list() :: [FoundationAgent.Agent.t()]
  defdelegate list, to: Registry

  @doc "Says goodbye for an id that this BEAM registered."
  @spec unregister(atom() | String.t()) :: :ok | {:error, :not_found}
  defdelegate unregister(id), to: Registry

  # Events

  @doc """
  Emits an event: `emit_event([:test, :event], %{count: 1}, %{dedup_key: "k"})`. Options: `:severity`, `:body`,
  `:timestamp` (nanoseconds), `:dedup_key`.
  """
  @spec emit_event(Events.name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def emit_event(name, measurements \\ %{}, metadata \\ %{}, options \\ []) do
    Events.emit(name, measurements, metadata, options)
  end

  @doc """
  Emits an event at most once in `interval` milliseconds, by its name and `dedup_key` (its metadata where it has
  none). `:suppressed` is said on the local path only: else the agent decides.
  """
  @spec emit_once_per(Events.name(), pos_integer(), map(), map(), keyword()) ::
          :ok | :suppressed | {:error, :dropped}
  def emit_once_per(name, interval, measurements \\ %{}, metadata \\ %{}, options \\ []) do
    Events.once_per(name, interval, measurements, metadata, options)
  end

  @doc "Gathers events into one. Options: `:key` (the name), `:size` (100), `:timeout` (5000 ms)."
  @spec emit_batched(Events.name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def emit_batched(name, measurements \\ %{}, metadata \\ %{}, options \\ []) do
    Events.batched(name, measurements, metadata, options)
  end

  @doc "Emits `name.start`. Returns the time to give to `emit_stop/4`."
  @spec emit_start(Events.name(), map()) :: integer()
  def emit_start(name, metadata \\ %{}) do
    emit_event(List.wrap(name) ++ ["start"], %{system_time: System.system_time()}, metadata)
    System.monotonic_time()
  end

  @doc "Emits `name.stop` with the duration since `emit_start/2`, in native units as `:telemetry` does."
  @spec emit_stop(Events.name(), integer(), map(), map()) :: :ok | {:error, :dropped}
  def emit_stop(name, started, metadata \\ %{}, measurements \\ %{}) do
    duration = System.monotonic_time() - started
    emit_event(List.wrap(name) ++ ["stop"], Map.put(measurements, :duration, duration), metadata)
  end

  @doc "Emits an event where the condition holds."
  @spec emit_if(as_boolean(term()), Events.name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def emit_if(condition, name, measurements \\ %{}, metadata \\ %{}, options \\ []) do
    if condition, do: emit_event(name, measurements, metadata, options), else: :ok
  end

  # Spans

  @doc "Starts a span below the innermost open one of this process. Option: `:kind`. Returns its id."
  @spec start_span(atom() | String.t(), map(), keyword()) :: String.t()
  def start_span(name, attributes \\ %{}, options \\ []), do: Spans.start(name, attributes, options)

  @doc "Ends a span of this process; without an id the innermost."
  @spec end_span(String.t() | nil, nil | :ok | :error | {:error, String.t()}, map()) ::
          :ok | {:error, :not_found}
  def end_span(id \\ nil, status \\ nil, attributes \\ %{}), do: Spans.finish(id, status, attributes)

  @doc "Runs a function in a span. What it raises, throws or exits with is recorded, and goes on."
  @spec with_span(atom() | String.t(), map(), (() -> result), keyword()) :: result when result: term()
  def with_span(name, attributes \\ %{}, fun, options \\ []) when is_function(fun, 0) do
    id = start_span(name, attributes, options)

    try do
      fun.()
    catch
      kind, reason ->
        exception = Exception.format_banner(kind, reason, __STACKTRACE__)
        stacktrace = Exception.format_stacktrace(__STACKTRACE__)
        type = if is_exception(reason), do: inspect(reason.__struct__), else: to_string(kind)

        details = %{
          "exception.type" => type,
          "exception.message" => exception,
          "exception.stacktrace" => stacktrace
        }

        Spans.update(id, {:event, "exception", System.os_time(:nanosecond), details})
        end_span(id, {:error, exception})
        :erlang.raise(kind, reason, __STACKTRACE__)
    else
      result ->
        end_span(id)
        result
    end
  end

  @doc "Merges attributes into the innermost span, or the one with that id."
  @spec add_attributes(map(), String.t() | nil) :: :ok | {:error, :not_found}
  def add_attributes(attributes, id \\ nil), do: Spans.update(id, {:attributes, attributes})

  @doc "Adds an event to the innermost span."
  @spec record_event(atom() | String.t(), map()) :: :ok | {:error, :not_found}
  def record_event(name, attributes \\ %{}) do
    Spans.update(nil, {:event, to_string(name), System.os_time(:nanosecond), attributes})
  end

  @doc "Links the innermost span to another: an open span's id, or a propagation of elsewhere."
  @spec link_span(String.t() | propagation()) :: :ok | {:error, :not_found}
  def link_span(%{traceparent: traceparent}) do
    case parent(traceparent) do
      {trace_id, span_id} -> Spans.update(nil, {:link, trace_id, span_id})
      nil -> {:error, :not_found}
    end
  end

  def link_span(id) do
    case Spans.get(id) do
      %Span{} = span -> Spans.update(nil, {:link, span.trace_id, span.span_id})
      nil -> {:error, :not_found}
    end
  end

  @doc "The innermost open span of this process."
  @spec current_span() :: Span.t() | nil
  defdelegate current_span, to: Spans, as: :current

  @doc "What another process needs to go on in this one's span and error context."
  @spec propagate_context() :: propagation()
  def propagate_context do
    traceparent = with {trace_id, span_id} <- Spans.current_ids(self()), do: "00-#{trace_id}-#{span_id}-01"
    %{traceparent: traceparent, context: Contexts.get(self())}
  end

  @doc "Runs a function in what another process propagated."
  @spec with_propagated_context(propagation(), (() -> result)) :: result when result: term()
  def with_propagated_context(propagation, fun) do
    before = Spans.adopt(parent(propagation.traceparent))

    try do
      with_context(propagation.context, fun)
    after
      Spans.adopt(before)
    end
  end

  defp parent(<<"00-", trace_id::binary-size(32), "-", span_id::binary-size(16), "-", _::binary>>),
    do: {trace_id, span_id}

  defp parent(_), do: nil

  # Error context

  @doc "Merges values into this process's innermost error context."
  @spec set_context(map()) :: :ok
  defdelegate set_context(values), to: Contexts, as: :set

  @doc "The error context of this process, the inner over the outer."
  @spec get_context() :: map()
  def get_context, do: Contexts.get(self())

  @doc "Removes this process's error contexts."
  @spec clear_context() :: :ok
  defdelegate clear_context, to: Contexts, as: :clear

  @doc "Runs a function in an inner error context."
  @spec with_context(map(), (() -> result)) :: result when result: term()
  def with_context(values, fun) when is_function(fun, 0) do
    Contexts.push(values)

    try do
      fun.()
    after
      Contexts.pop()
    end
  end

  @doc "Spawns a process that goes on in this one's span and error context."
  @spec spawn_with_context((() -> any())) :: pid()
  def spawn_with_context(fun) when is_function(fun, 0) do
    propagation = propagate_context()
    spawn(fn -> with_propagated_context(propagation, fun) end)
  end

  # Flags

  @doc "Whether a boolean flag is on; `default` where it is not known."
  @spec enabled?(atom() | String.t(), boolean()) :: boolean()
  def enabled?(flag, default \\ false), do: Flags.enabled?(flag, default)

  @doc "Whether a boolean flag is on for one id; see `FoundationAgent.Flags.enabled_for_id?/3`."
  @spec enabled_for_id?(atom() | String.t(), term(), boolean()) :: boolean()
  def enabled_for_id?(flag, id, default \\ false), do: Flags.enabled_for_id?(flag, id, default)

  # The client itself

  @doc "Tells how long the application took to answer a request, in native units: the vital `response_time_seconds`."
  @spec took_response(integer()) :: :ok
  defdelegate took_response(native), to: FoundationAgent.Vitals

  @doc "Waits until what was queued before has been taken, or refused, by the agent."
  @spec flush(timeout()) :: :ok | {:error, :timeout}
  def flush(timeout \\ 5_000) do
    with :ok <- Sender.flush(:door, timeout), do: Sender.flush(:otlp, timeout)
  end

  @doc "What became of what was sent: `emitted = accepted + rejected + dropped + queued`, for each queue."
  @spec stats() :: %{door: Queue.stats(), otlp: Queue.stats(), connected: boolean()}
  def stats, do: %{door: Queue.stats(:door), otlp: Queue.stats(:otlp), connected: FoundationAgent.Link.up?()}
end
