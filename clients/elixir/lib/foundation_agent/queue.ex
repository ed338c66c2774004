defmodule FoundationAgent.Queue do
  @moduledoc """
  Bounded queues between callers and senders: ETS, so that putting something in blocks nobody and outlives
  a crash of the sender. An entry is taken out when the agent has taken it, not before.

  What does not fit is dropped and counted. The account: `emitted = accepted + rejected + dropped + queued`.
  """

  @type name :: :door | :otlp
  @type entry :: {key :: integer(), item :: term(), size :: non_neg_integer()}
  @type stats :: %{
          emitted: non_neg_integer(),
          accepted: non_neg_integer(),
          rejected: non_neg_integer(),
          dropped: non_neg_integer(),
          queued: non_neg_integer()
        }

  # About what ETS adds to an entry.
  @overhead 150

  @bytes 1
  @queued 2
  @emitted 3
  @accepted 4
  @rejected 5
  @dropped 6

  @doc false
  @spec create(name(), pos_integer()) :: :ok
  def create(name, limit) do
    :ets.new(table(name), [:ordered_set, :public, :named_table, write_concurrency: true])
    :persistent_term.put({__MODULE__, name}, {:atomics.new(6, []), limit})
  end

  @doc """
  Puts an item in. `reserve: true` may use a quarter beyond the bound: for ends, without which something
  that the agent holds open would stay open, and for reports of drops.
  """
  @spec put(name(), term(), non_neg_integer(), reserve: boolean() | nil) :: :ok | {:error, :dropped}
  def put(name, item, size, options \\ []) do
    {counters, limit} = counters(name)
    limit = if options[:reserve], do: limit + div(limit, 4), else: limit
    size = size + @overhead
    :atomics.add(counters, @emitted, 1)

    if :atomics.add_get(counters, @bytes, size) > limit do
      :atomics.sub(counters, @bytes, size)
      :atomics.add(counters, @dropped, 1)
      {:error, :dropped}
    else
      count = :atomics.add_get(counters, @queued, 1)
      :ets.insert(table(name), {:erlang.unique_integer([:monotonic]), item, size})
      if count == 1, do: wake(name)
      :ok
    end
  end

  # Who counted one wakes. A sender that finds a count and no entry yet looks again (see Sender).
  defp wake(name), do: if(pid = Process.whereis(sender(name)), do: send(pid, :wake))

  @doc "The name that the queue's sender registers under."
  @spec sender(name()) :: atom()
  def sender(:door), do: FoundationAgent.Sender.Door
  def sender(:otlp), do: FoundationAgent.Sender.OTLP

  @doc "The first entries, at most `count` and about `bytes`."
  @spec peek(name(), pos_integer(), pos_integer()) :: [entry()]
  def peek(name, count, bytes), do: peek(table(name), :ets.first(table(name)), count, bytes, [])

  defp peek(_, key, count, bytes, done) when key == :"$end_of_table" or count == 0 or bytes <= 0 do
    Enum.reverse(done)
  end

  defp peek(table, key, count, bytes, done) do
    [{_, _, size} = entry] = :ets.lookup(table, key)
    peek(table, :ets.next(table, key), count - 1, bytes - size, [entry | done])
  end

  @doc "Removes an entry whose fate is known."
  @spec done(name(), entry(), :accepted | :rejected | :dropped) :: :ok
  def done(name, {key, _, size}, fate) do
    {counters, _} = counters(name)
    :ets.delete(table(name), key)
    :atomics.sub(counters, @bytes, size)
    :atomics.sub(counters, @queued, 1)
    :atomics.add(counters, %{accepted: @accepted, rejected: @rejected, dropped: @dropped}[fate], 1)
  end

  @doc "Whether nothing waits."
  @spec empty?(name()) :: boolean()
  def empty?(name), do: :atomics.get(elem(counters(name), 0), @queued) <= 0

  @doc "The key of the first entry that waits, nil where none does."
  @spec first(name()) :: integer() | nil
  def first(name) do
    case :ets.first(table(name)) do
      :"$end_of_table" -> nil
      key -> key
    end
  end

  @doc "The account so far."
  @spec stats(name()) :: stats()
  def stats(name) do
    {counters, _} = counters(name)
    get = &:atomics.get(counters, &1)

    %{
      emitted: get.(@emitted),
      accepted: get.(@accepted),
      rejected: get.(@rejected),
      dropped: get.(@dropped),
      queued: get.(@queued)
    }
  end

  @doc "Memory of the table in bytes."
  @spec memory(name()) :: non_neg_integer()
  def memory(name), do: :ets.info(table(name), :memory) * :erlang.system_info(:wordsize)

  defp table(:door), do: FoundationAgent.Queue.Door
  defp table(:otlp), do: FoundationAgent.Queue.OTLP

  defp counters(name), do: :persistent_term.get({__MODULE__, name})
end
