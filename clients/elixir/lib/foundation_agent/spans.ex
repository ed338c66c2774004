defmodule FoundationAgent.Spans do
  @moduledoc """
  The stack of open spans of each process: in ETS, shared and outliving the process, so that its end can be
  told. Both paths keep it; on the agent's path each start, change and end is told as it happens, on the
  local path a span is sent whole when it ends. A span ends on the path that it started on.
  """

  alias FoundationAgent.{Link, Processes, Route, Span, Vitals}
  alias FoundationAgent.Sender.{Door, OTLP}

  @table __MODULE__

  @typedoc "What `propagate/0` gives of the span."
  @type parent :: {trace_id :: String.t(), span_id :: String.t()}

  @doc false
  def create_table,
    do: :ets.new(@table, [:set, :public, :named_table, write_concurrency: true, read_concurrency: true])

  @doc "Starts a span below the innermost open one of the calling process."
  @spec start(atom() | String.t(), map(), keyword()) :: String.t()
  def start(name, attributes, options) do
    Route.timed(:span, :spans, fn path ->
      {stack, adopted} = row(self())
      span = Span.new(name, attributes, Keyword.get(options, :kind, :internal), parent(stack, adopted))
      span = if path == :agent, do: announce(span), else: span
      Processes.watch()
      :ets.insert(@table, {self(), [span | stack], adopted})
      span.span_id
    end)
  end

  defp announce(span) do
    generation = Link.generation()
    if Door.line(Span.start_line(span)) == :ok, do: %{span | announced: generation}, else: span
  end

  @doc "Ends a span of the calling process, without an id the innermost. The rest of the stack stays as it is."
  @spec finish(String.t() | nil, nil | :ok | :error | {:error, String.t()}, map()) ::
          :ok | {:error, :not_found}
  def finish(id, status, attributes) do
    Route.timed(:span, :spans, fn _ ->
      {stack, adopted} = row(self())

      case find(stack, id) do
        nil ->
          {:error, :not_found}

        span ->
          store(List.delete(stack, span), adopted)
          span = Span.ended(span, status(status), attributes)

          if span.kind == :server,
            do: Vitals.took_response(System.convert_time_unit(span.duration, :nanosecond, :native))

          tell_end(span, attributes)
      end
    end)
  end

  defp status(:error), do: {:error, ""}
  defp status(status), do: status

  defp tell_end(%{announced: nil} = span, _), do: put_complete(span)

  defp tell_end(span, attributes) do
    # An agent that was away may have lost the start. One that did not takes it for the repeat that it is.
    if span.announced != Link.generation() or not Link.up?(), do: announce(span)
    _ = Door.end_line(Span.end_line(span, attributes), span)
    :ok
  end

  @doc "Sends a whole span."
  @spec put_complete(Span.t()) :: :ok
  def put_complete(span) do
    _ = OTLP.put(:span, Span.otlp(span))
    :ok
  end

  @doc "Changes the innermost open span, or the one with that id."
  @spec update(
          String.t() | nil,
          {:attributes, map()} | {:event, String.t(), integer(), map()} | {:link, String.t(), String.t()}
        ) ::
          :ok | {:error, :not_found}
  def update(id, change) do
    Route.timed(:span, :spans, fn _ ->
      {stack, adopted} = row(self())

      case find(stack, id) do
        nil ->
          {:error, :not_found}

        span ->
          if span.announced, do: Door.line(Span.update_line(span, change))
          store(Enum.map(stack, &if(&1.span_id == span.span_id, do: changed(&1, change), else: &1)), adopted)
      end
    end)
  end

  defp changed(span, {:attributes, attributes}),
    do: %{span | attributes: Map.merge(span.attributes, attributes)}

  defp changed(span, {:event, name, time, attributes}),
    do: %{span | events: [{name, time, attributes} | span.events]}

  defp changed(span, {:link, trace_id, span_id}), do: %{span | links: [{trace_id, span_id} | span.links]}

  @doc "The innermost open span of the calling process."
  @spec current() :: Span.t() | nil
  def current do
    case row(self()) do
      {[span | _], _} -> span
      _ -> nil
    end
  end

  @doc "Trace and span id that something written now belongs to."
  @spec current_ids(pid()) :: parent() | nil
  def current_ids(pid) do
    {stack, adopted} = row(pid)
    parent(stack, adopted)
  end

  @doc "An open span of the calling process."
  @spec get(String.t()) :: Span.t() | nil
  def get(id), do: find(elem(row(self()), 0), id)

  @doc "Makes a span of elsewhere the parent of the process's first, nil for none. Returns the one before."
  @spec adopt(parent() | nil) :: parent() | nil
  def adopt(parent) do
    {stack, adopted} = row(self())
    if parent, do: Processes.watch()
    store(stack, parent)
    adopted
  end

  @doc "Takes what a process that ended left open, innermost first."
  @spec take(pid()) :: [Span.t()]
  def take(pid) do
    case :ets.take(@table, pid) do
      [{_, stack, _}] -> stack
      [] -> []
    end
  end

  @doc "Processes that have open spans."
  @spec holders() :: [pid()]
  def holders, do: :ets.select(@table, [{{:"$1", :_, :_}, [], [:"$1"]}])

  defp row(pid) do
    case :ets.lookup(@table, pid) do
      [{_, stack, adopted}] -> {stack, adopted}
      [] -> {[], nil}
    end
  end

  defp store([], nil) do
    :ets.delete(@table, self())
    :ok
  end

  defp store(stack, adopted) do
    :ets.insert(@table, {self(), stack, adopted})
    :ok
  end

  defp find(stack, nil), do: List.first(stack)
  defp find(stack, id), do: Enum.find(stack, &(&1.span_id == id))

  defp parent([span | _], _), do: {span.trace_id, span.span_id}
  defp parent([], adopted), do: adopted
end
