defmodule FoundationAgent.Vitals do
  @moduledoc """
  Numbers that go with each heartbeat, for the baseline and the guard of the staged migration:

    * `process_count`, `memory_bytes`, `table_memory_bytes` (all ETS tables) of this BEAM;
    * `response_time_seconds`: mean of the spans of kind `:server`, or of what `took_response/1` is told;
    * `context_seconds`, `registry_seconds`, `span_seconds`, `event_seconds`: what a call costs its caller,
      whichever path it took, and `context_agent_seconds`, `context_local_seconds` … for each path alone;
    * `client_queued`, `client_dropped`.

  Latencies are means since the heartbeat before. One that had no call is left out.
  """

  alias FoundationAgent.{Queue, Route}

  @type operation :: :context | :registry | :span | :event

  @operations [:context, :registry, :span, :event]
  @slots Enum.flat_map(@operations, &[{&1, :agent}, {&1, :local}]) |> Enum.with_index() |> Map.new()
  @response map_size(@slots)

  @doc false
  @spec create() :: :ok
  def create, do: :persistent_term.put(__MODULE__, :counters.new(2 * (@response + 1), [:write_concurrency]))

  @doc "A call took so long, in native units."
  @spec took(operation(), Route.path(), integer()) :: :ok
  def took(operation, path, native), do: add(Map.fetch!(@slots, {operation, path}), native)

  @doc "The application answered a request in so long, in native units."
  @spec took_response(integer()) :: :ok
  def took_response(native), do: add(@response, native)

  defp add(slot, native) do
    counters = :persistent_term.get(__MODULE__)
    :counters.add(counters, 2 * slot + 1, native)
    :counters.add(counters, 2 * slot + 2, 1)
  end

  @doc "The vitals now. Latencies begin anew."
  @spec collect() :: %{String.t() => number()}
  def collect do
    taken =
      for {{operation, path}, slot} <- @slots,
          {sum, count} = take(slot),
          count > 0,
          do: {operation, path, sum, count}

    per_path = for {operation, path, sum, count} <- taken, do: {"#{operation}_#{path}_seconds", sum / count}

    both =
      for {operation, rows} <- Enum.group_by(taken, &elem(&1, 0)) do
        {"#{operation}_seconds",
         Enum.sum(Enum.map(rows, &elem(&1, 2))) / Enum.sum(Enum.map(rows, &elem(&1, 3)))}
      end

    response =
      with(
        {sum, count} when count > 0 <- take(@response),
        do: [{"response_time_seconds", sum / count}],
        else: (_ -> [])
      )

    Map.new(machine() ++ per_path ++ both ++ response)
  end

  defp take(slot) do
    counters = :persistent_term.get(__MODULE__)
    {sum, count} = {:counters.get(counters, 2 * slot + 1), :counters.get(counters, 2 * slot + 2)}
    :counters.sub(counters, 2 * slot + 1, sum)
    :counters.sub(counters, 2 * slot + 2, count)
    {sum / System.convert_time_unit(1, :second, :native), count}
  end

  defp machine do
    [
      {"process_count", :erlang.system_info(:process_count)},
      {"memory_bytes", :erlang.memory(:total)},
      {"table_memory_bytes", :erlang.memory(:ets)},
      {"client_queued", Queue.stats(:door).queued + Queue.stats(:otlp).queued},
      {"client_dropped", Queue.stats(:door).dropped + Queue.stats(:otlp).dropped}
    ]
  end
end
