defmodule FoundationAgent.Once do
  @moduledoc "Once-per on the local path: which keys had their event lately. Bounded; beyond the bound nothing is suppressed."

  use GenServer

  @table __MODULE__
  @max_keys 100_000
  @sweep 5_000

  @doc false
  def create_table, do: :ets.new(@table, [:set, :public, :named_table, write_concurrency: true])

  @doc false
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Whether this is the first of a key in so many milliseconds. Of callers at one moment, one is told so."
  @spec first?(term(), pos_integer()) :: boolean()
  def first?(key, interval) do
    hash = :erlang.md5(:erlang.term_to_binary(key))
    now = System.monotonic_time(:millisecond)

    case :ets.lookup(@table, hash) do
      [{_, until}] when until > now -> false
      [{_, until}] -> :ets.select_replace(@table, [{{hash, until}, [], [{{hash, now + interval}}]}]) == 1
      [] -> :ets.info(@table, :size) >= @max_keys or :ets.insert_new(@table, {hash, now + interval})
    end
  end

  @impl true
  def init(_), do: {:ok, nil, {:continue, :sweep}}

  @impl true
  def handle_continue(:sweep, state), do: handle_info(:sweep, state)

  @impl true
  def handle_info(:sweep, state) do
    :ets.select_delete(@table, [{{:_, :"$1"}, [{:<, :"$1", System.monotonic_time(:millisecond)}], [true]}])
    Process.send_after(self(), :sweep, @sweep)
    {:noreply, state}
  end
end
