defmodule FoundationAgent.Sender do
  @moduledoc """
  Sends what is queued, in order, over one connection that is kept alive. How it is put on the wire is the
  business of a `FoundationAgent.Sender.Wire`: `Door` (NDJSON to the applications' door) or `OTLP`.

  What the agent cannot take now waits in the queue; retries back off to five seconds, or as long as the agent asks.
  What was dropped meanwhile is reported when the agent takes something again.
  """

  use GenServer
  require Logger

  alias FoundationAgent.{Config, HTTP, Queue}

  defmodule Wire do
    @moduledoc "How a queue's entries become requests."

    alias FoundationAgent.{Config, HTTP, Queue}

    @doc "The queue."
    @callback queue() :: Queue.name()
    @doc "Where to connect."
    @callback address(Config.t()) :: Config.address()
    @doc "Whether it may be tried now."
    @callback ready?() :: boolean()
    @doc "The request for the first of these entries, and how many of them it holds."
    @callback request([Queue.entry()]) ::
                {path_and_type :: {String.t(), String.t(), String.t()}, body :: iodata(),
                 count :: pos_integer()}
    @doc """
    What an answer says of the request's entries: the fate of each from the first, and of the rest, whether
    they are to be sent again after some milliseconds.
    """
    @callback answer(HTTP.response(), [Queue.entry()]) ::
                {[:accepted | :rejected], retry_after :: non_neg_integer() | nil}
    @doc "Called when the agent could not be reached."
    @callback lost() :: any()
    @doc "Puts a report of so many drops into the queue."
    @callback report(pos_integer()) :: :ok | {:error, :dropped}
  end

  @batch_entries 1_000
  @batch_bytes 512 * 1024
  @timeout 15_000
  @first_backoff 20
  @last_backoff 5_000
  # Of the application's shutdown, so much is for sending what is left.
  @last_words 2_000

  defstruct [
    :wire,
    :queue,
    :address,
    :delay,
    :conn,
    :timer,
    backoff: @first_backoff,
    reported: 0,
    waiters: []
  ]

  @doc false
  def start_link(wire), do: GenServer.start_link(__MODULE__, wire, name: Queue.sender(wire.queue()))

  @doc "Waits until what was queued before the call has been taken, or refused, by the agent."
  @spec flush(Queue.name(), timeout()) :: :ok | {:error, :timeout}
  def flush(queue, timeout) do
    GenServer.call(Queue.sender(queue), {:flush, :erlang.unique_integer([:monotonic])}, timeout)
  catch
    :exit, {:timeout, _} -> {:error, :timeout}
  end

  @impl true
  def init(wire) do
    Process.flag(:trap_exit, true)
    config = Config.get()
    # A queue that outlived its sender may hold something.
    state = %__MODULE__{
      wire: wire,
      queue: wire.queue(),
      address: wire.address(config),
      delay: config.batch_delay
    }

    {:ok, schedule(state, 0)}
  end

  @impl true
  def handle_call({:flush, mark}, from, state) do
    {:noreply, state |> Map.update!(:waiters, &[{mark, from} | &1]) |> cancel() |> schedule(0)}
  end

  @impl true
  def handle_info(:wake, %{timer: nil} = state), do: {:noreply, schedule(state, state.delay)}
  def handle_info(:wake, state), do: {:noreply, state}

  def handle_info(:send, state) do
    {:noreply, state |> Map.put(:timer, nil) |> step() |> answer_waiters()}
  end

  # The link is up again: do not sit a long backoff out.
  def handle_info(:ready, state) do
    {:noreply, %{state | backoff: @first_backoff} |> cancel() |> schedule(0)}
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: drain(state, System.monotonic_time(:millisecond) + @last_words)

  defp drain(state, deadline) do
    unless Queue.empty?(state.queue) or not state.wire.ready?() or
             System.monotonic_time(:millisecond) > deadline do
      case send_batch(%{state | backoff: @first_backoff}) do
        {:more, state} -> drain(state, deadline)
        {_, state} -> close(state)
      end
    end
  end

  # One request, so that calls are heard between two.
  defp step(state) do
    cond do
      Queue.empty?(state.queue) -> state
      not state.wire.ready?() -> back_off(state, nil)
      true -> next(send_batch(state))
    end
  end

  defp next({:more, state}), do: schedule(state, 0)
  defp next({{:retry, wait}, state}), do: back_off(state, wait)

  # A caller counts before it inserts: look again rather than wait for a wake that will not come.
  defp next({:nothing, state}), do: schedule(state, state.delay)

  defp send_batch(state) do
    case Queue.peek(state.queue, @batch_entries, @batch_bytes) do
      [] ->
        {:nothing, state}

      entries ->
        {head, body, count} = state.wire.request(entries)
        entries = Enum.take(entries, count)

        case exchange(state, head, body) do
          {:ok, response, state} ->
            settle(state, entries, state.wire.answer(response, entries))

          {:error, state} ->
            state.wire.lost()
            {{:retry, nil}, state}
        end
    end
  end

  defp settle(state, entries, {fates, retry_after}) do
    entries |> Enum.zip(fates) |> Enum.each(fn {entry, fate} -> Queue.done(state.queue, entry, fate) end)
    state = if fates == [], do: state, else: report(%{state | backoff: @first_backoff})
    if retry_after, do: {{:retry, retry_after}, state}, else: {:more, state}
  end

  defp report(state) do
    dropped = Queue.stats(state.queue).dropped

    if dropped > state.reported and state.wire.report(dropped - state.reported) == :ok do
      %{state | reported: dropped}
    else
      state
    end
  end

  defp exchange(%{conn: nil} = state, head, body) do
    case HTTP.connect(state.address, @timeout) do
      {:ok, conn} -> exchange(%{state | conn: conn}, head, body)
      {:error, _} -> {:error, state}
    end
  end

  defp exchange(state, {method, path, type}, body) do
    case HTTP.request(state.conn, method, path, [{"content-type", type}], body, @timeout) do
      {:ok, response} -> {:ok, response, if(HTTP.keep?(response), do: state, else: close(state))}
      {:error, _} -> {:error, close(state)}
    end
  end

  defp close(%{conn: nil} = state), do: state

  defp close(state) do
    HTTP.close(state.conn)
    %{state | conn: nil}
  end

  defp back_off(state, wait) do
    # Up to half of it at random, so that a host's applications do not come back all at once.
    pause = max(wait || 0, state.backoff + :rand.uniform(div(state.backoff, 2)))
    state |> Map.put(:backoff, min(state.backoff * 2, @last_backoff)) |> schedule(pause)
  end

  defp schedule(%{timer: nil} = state, pause), do: %{state | timer: Process.send_after(self(), :send, pause)}
  defp schedule(state, _), do: state

  defp cancel(%{timer: nil} = state), do: state

  defp cancel(state) do
    Process.cancel_timer(state.timer)
    %{state | timer: nil}
  end

  defp answer_waiters(%{waiters: []} = state), do: state

  defp answer_waiters(state) do
    first = Queue.first(state.queue)
    {done, waiting} = Enum.split_with(state.waiters, fn {mark, _} -> first == nil or first > mark end)
    for {_, from} <- done, do: GenServer.reply(from, :ok)
    %{state | waiters: waiting}
  end
end
