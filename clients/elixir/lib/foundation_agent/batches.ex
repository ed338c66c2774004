defmodule FoundationAgent.Batches do
  @moduledoc """
  Batches on the local path: events of a key become one, whose measurements are their sums and whose
  `records` says how many they were. Callers add to a table; whoever fills a batch sends it, this process those
  whose time is up.
  """

  use GenServer

  alias FoundationAgent.Events

  @table __MODULE__
  @max_keys 10_000
  @tick 50

  # A row: {key, count, sums, metadata of the first, deadline}. count only grows: it is the row's version.

  @doc false
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Adds one event."
  @spec add({String.t(), String.t()}, map(), map(), pos_integer(), pos_integer()) :: :ok | {:error, :dropped}
  def add({name, _} = key, measurements, metadata, size, timeout) do
    case :ets.lookup(@table, key) do
      [] when size > 1 ->
        row = {key, 1, measurements, metadata, System.monotonic_time(:millisecond) + timeout}

        cond do
          :ets.info(@table, :size) >= @max_keys -> Events.put(name, measurements, metadata, [])
          :ets.insert_new(@table, row) -> :ok
          true -> add(key, measurements, metadata, size, timeout)
        end

      [] ->
        Events.put(name, measurements, metadata, [])

      [{_, count, sums, first, deadline}] ->
        row = {key, count + 1, sum(sums, measurements), first, deadline}
        full = count + 1 >= size

        cond do
          not swap(key, count, deadline, row, full) -> add(key, measurements, metadata, size, timeout)
          full -> send_out(row)
          true -> :ok
        end
    end
  end

  # Full batches are taken out in the step that fills them, so that each is sent once.
  defp swap(key, count, deadline, _row, true) do
    :ets.select_delete(@table, [{{key, count, :_, :_, deadline}, [], [true]}]) == 1
  end

  defp swap(key, count, deadline, row, false) do
    :ets.select_replace(@table, [{{key, count, :_, :_, deadline}, [], [{:const, row}]}]) == 1
  end

  defp sum(sums, measurements) do
    Map.merge(sums, measurements, fn _, a, b -> if is_number(a) and is_number(b), do: a + b, else: b end)
  end

  defp send_out({{name, _}, count, sums, metadata, _}),
    do: Events.put(name, Map.put(sums, "records", count), metadata, [])

  @doc false
  def create_table, do: :ets.new(@table, [:set, :public, :named_table, write_concurrency: true])

  @impl true
  def init(_) do
    Process.flag(:trap_exit, true)
    {:ok, nil, @tick}
  end

  @impl true
  def handle_info(_, state) do
    send_due(System.monotonic_time(:millisecond))
    {:noreply, state, @tick}
  end

  @impl true
  def terminate(_, _),
    do: for({key, _, _, _, _} <- :ets.tab2list(@table), row <- :ets.take(@table, key), do: send_out(row))

  defp send_due(now) do
    for key <- :ets.select(@table, [{{:"$1", :_, :_, :_, :"$2"}, [{:"=<", :"$2", now}], [:"$1"]}]) do
      for row <- :ets.take(@table, key), do: send_out(row)
    end
  end
end
