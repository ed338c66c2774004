defmodule FoundationAgent.Link do
  @moduledoc """
  Whether the agent is there. One process holds a connection to the applications' door: it registers this
  node's agent, asks for the flags each second (which also shows at once when the agent has gone), and
  sends heartbeats with vitals. While the agent is away it tries again, backing off to five seconds.

  Everyone else reads one atomic: a call never finds out by waiting that nobody is there.
  """

  use GenServer
  require Logger

  alias FoundationAgent.{Config, Flags, HTTP, JSON, Queue, Registrar, Registry, Vitals}

  # Slots of the atomics.
  @up 1
  @generation 2

  @first_backoff 50
  @last_backoff 5_000

  defstruct [:config, :conn, :timer, :refusal, next_beat: 0, backoff: @first_backoff]

  @doc false
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc false
  @spec create() :: :ok
  def create, do: :persistent_term.put(__MODULE__, :atomics.new(2, []))

  @doc "Whether the agent is there, as far as we know."
  @spec up?() :: boolean()
  def up?, do: :atomics.get(:persistent_term.get(__MODULE__), @up) == 1

  @doc "How often the agent was found so far: another number says that it may have restarted."
  @spec generation() :: non_neg_integer()
  def generation, do: :atomics.get(:persistent_term.get(__MODULE__), @generation)

  @doc "Tells that the agent could not be reached."
  @spec lost() :: :ok
  def lost do
    :atomics.put(:persistent_term.get(__MODULE__), @up, 0)
    GenServer.cast(__MODULE__, :lost)
  end

  @impl true
  def init(_) do
    Process.flag(:trap_exit, true)
    {:ok, schedule(%__MODULE__{config: Config.get()}, 0)}
  end

  @impl true
  def handle_cast(:lost, state), do: {:noreply, state |> away() |> cancel() |> schedule(@first_backoff)}

  @impl true
  def handle_info(:tick, state) do
    state = %{state | timer: nil}
    state = if state.conn, do: state, else: connect(state)

    case state.conn && poll(state) do
      {:ok, state} -> {:noreply, state |> up() |> beat() |> schedule(state.config.poll_interval)}
      _ -> {:noreply, state |> away() |> back_off()}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, %{conn: nil}), do: :ok

  def terminate(_reason, state) do
    :atomics.put(:persistent_term.get(__MODULE__), @up, 0)
    body = JSON.encode(%{"reason" => "the application stops"})
    request(state, "DELETE", Registry.path(state.config.agent_id), [], body)
  end

  defp connect(state) do
    with {:ok, conn} <- HTTP.connect(state.config.door, state.config.call_timeout),
         state = %{state | conn: conn, next_beat: 0},
         {:ok, state} <- register(state) do
      state
    else
      _ -> away(state)
    end
  end

  defp register(state) do
    config = state.config
    lease = "#{max(3 * config.heartbeat_interval, 1_000)}ms"
    runtime = %{"elixir" => System.version(), "otp" => System.otp_release(), "node" => node()}
    metadata = Map.put_new(config.metadata, "runtime", runtime)

    body =
      JSON.encode(%{
        "labels" => config.labels,
        "metadata" => metadata,
        "vitals" => Vitals.collect(),
        "lease" => lease
      })

    case request(state, "PUT", Registry.path(config.agent_id), [], body) do
      {:ok, {status, _, _}} when status in 200..299 -> {:ok, %{state | refusal: nil}}
      {:ok, {status, _, body}} -> {:ok, refused(state, {status, body})}
      error -> error
    end
  end

  # Without a registry there, or with the id in other hands: the rest works, unproven.
  defp refused(%{refusal: refusal} = state, refusal), do: state

  defp refused(state, {status, body} = refusal) do
    Logger.warning("foundation-agent does not register #{state.config.agent_id}: #{status} #{body}",
      domain: [:foundation_agent]
    )

    %{state | refusal: refusal}
  end

  defp poll(state) do
    body = JSON.encode(%{"context" => %{"targetingKey" => state.config.agent_id}})
    headers = if etag = Flags.etag(), do: [{"if-none-match", etag}], else: []

    case request(state, "POST", "/ofrep/v1/evaluate/flags", headers, body) do
      {:ok, response} ->
        Flags.answered(response)
        {:ok, state}

      error ->
        error
    end
  end

  defp beat(state) do
    now = System.monotonic_time(:millisecond)

    if now < state.next_beat do
      state
    else
      body = JSON.encode(%{"vitals" => Vitals.collect()})
      path = Registry.path(state.config.agent_id) <> "/heartbeat"

      case request(state, "POST", path, [], body) do
        {:ok, {404, _, _}} -> elem(register(state), 1)
        _ -> state
      end
      |> case do
        %__MODULE__{} = state -> %{state | next_beat: now + state.config.heartbeat_interval}
        _ -> state
      end
    end
  end

  defp request(state, method, path, headers, body) do
    headers = [{"content-type", "application/json"} | headers]

    case HTTP.request(state.conn, method, path, headers, body, state.config.call_timeout) do
      {:ok, response} -> {:ok, response}
      {:error, reason} -> {:error, reason}
    end
  end

  defp up(state) do
    if :atomics.exchange(:persistent_term.get(__MODULE__), @up, 1) == 0 do
      :atomics.add(:persistent_term.get(__MODULE__), @generation, 1)
      Registrar.agent_is_up()
      if pid = Process.whereis(Queue.sender(:door)), do: send(pid, :ready)
    end

    %{state | backoff: @first_backoff}
  end

  defp away(state) do
    :atomics.put(:persistent_term.get(__MODULE__), @up, 0)
    if state.conn, do: HTTP.close(state.conn)
    %{state | conn: nil}
  end

  defp back_off(state) do
    pause = state.backoff + :rand.uniform(div(state.backoff, 2))
    schedule(%{state | backoff: min(2 * state.backoff, @last_backoff)}, pause)
  end

  defp schedule(%{timer: nil} = state, pause), do: %{state | timer: Process.send_after(self(), :tick, pause)}
  defp schedule(state, _), do: state

  defp cancel(%{timer: nil} = state), do: state

  defp cancel(state) do
    Process.cancel_timer(state.timer)
    %{state | timer: nil}
  end
end
