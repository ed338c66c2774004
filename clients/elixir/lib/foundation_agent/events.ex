defmodule FoundationAgent.Events do
  @moduledoc "Events: made into lines in the calling process, and queued."

  alias FoundationAgent.{Batches, Config, JSON, Once, Route, Span, Spans}
  alias FoundationAgent.Sender.Door

  @type name :: atom() | String.t() | [atom() | String.t()]

  @doc "Emits an event. Options: `:severity`, `:body`, `:timestamp`, `:dedup_key`."
  @spec emit(name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def emit(name, measurements, metadata, options) do
    Route.timed(:event, :events, fn _ -> put(name, measurements, metadata, options) end)
  end

  @doc "At most one such event in so many milliseconds: decided by the agent, or here."
  @spec once_per(name(), pos_integer(), map(), map(), keyword()) :: :ok | :suppressed | {:error, :dropped}
  def once_per(name, interval, measurements, metadata, options) do
    Route.timed(:event, :events, fn
      :agent ->
        put(name, measurements, metadata, [{:once_per, "#{interval}ms"} | options])

      :local ->
        if Once.first?({text(name), identity(metadata, options)}, interval),
          do: put(name, measurements, metadata, options),
          else: :suppressed
    end)
  end

  @doc "Gathers events of a key into one: by the agent, or here."
  @spec batched(name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def batched(name, measurements, metadata, options) do
    {batch, options} = Keyword.split(options, [:key, :size, :timeout])
    key = to_string(batch[:key] || text(name))
    {size, timeout} = {batch[:size] || 100, batch[:timeout] || 5_000}

    Route.timed(:event, :events, fn
      :agent ->
        put(name, measurements, metadata, [
          {:batch, %{"key" => key, "size" => size, "timeout" => "#{timeout}ms"}} | options
        ])

      :local ->
        Batches.add({text(name), key}, measurements, metadata, size, timeout)
    end)
  end

  @doc "Reports that so many things were dropped."
  @spec report_drops(pos_integer(), String.t()) :: :ok | {:error, :dropped}
  def report_drops(count, body) do
    # A key of its own: no two reports are merged, and their sum can be read.
    key = "#{System.pid()}-#{System.unique_integer([:positive])}"

    put("foundation.client.dropped", %{count: count}, %{},
      severity: "WARN",
      body: body,
      dedup_key: key,
      reserve: true
    )
  end

  defp identity(metadata, options),
    do: options[:dedup_key] || metadata[:dedup_key] || metadata["dedup_key"] || metadata

  @doc false
  @spec put(name(), map(), map(), keyword()) :: :ok | {:error, :dropped}
  def put(name, measurements, metadata, options) do
    {trace_id, span_id} = Spans.current_ids(self()) || {nil, nil}
    {numbers, others} = Enum.split_with(measurements, fn {_, value} -> is_number(value) end)

    Door.line(
      JSON.object([
        {"name", text(name)},
        {"measurements", Map.new(numbers)},
        {"metadata", Enum.into(others, metadata)},
        {"timestamp", options[:timestamp] || System.os_time(:nanosecond)},
        {"severity", options[:severity]},
        {"body", options[:body]},
        {"agent_id", Config.get().agent_id},
        {"process", Span.process(self())},
        {"trace_id", trace_id},
        {"span_id", span_id},
        {"dedup_key", options[:dedup_key] && to_string(options[:dedup_key])},
        {"once_per", options[:once_per]},
        {"batch", options[:batch]}
      ]),
      reserve: options[:reserve]
    )
  end

  defp text(name) when is_list(name), do: Enum.map_join(name, ".", &to_string/1)
  defp text(name), do: to_string(name)
end
