defmodule FoundationAgent.Registrar do
  @moduledoc """
  Owns what this BEAM registered: the only writer of the table behind `FoundationAgent.Registry`. Monitors
  the processes, tells their ends, and tells all of it again to an agent that comes back.
  """

  use GenServer

  alias FoundationAgent.{Config, Processes, Registry}
  alias FoundationAgent.Sender.Door

  @table Registry

  # monitors: by reference the id. ended: ids whose goodbye may still be queued.
  defstruct monitors: %{}, ended: MapSet.new()

  @doc false
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Keeps a registration."
  @spec register(tuple()) :: :ok | {:error, :already_registered | :reserved | :not_alive}
  def register(row), do: GenServer.call(__MODULE__, {:register, row})

  @doc "Drops a registration."
  @spec unregister(String.t()) :: :ok | {:error, :not_found}
  def unregister(id), do: GenServer.call(__MODULE__, {:unregister, id})

  @doc "Tells a (new) agent what is registered."
  @spec agent_is_up() :: :ok
  def agent_is_up, do: GenServer.cast(__MODULE__, :agent_is_up)

  @impl true
  def init(_) do
    monitors = for {id, pid, _, _} <- :ets.tab2list(@table), into: %{}, do: {Process.monitor(pid), id}
    agent_is_up()
    {:ok, %__MODULE__{monitors: monitors}}
  end

  @impl true
  def handle_call({:register, {id, pid, _, _} = row}, _, state) do
    cond do
      id == Config.get().agent_id ->
        {:reply, {:error, :reserved}, state}

      not Process.alive?(pid) ->
        {:reply, {:error, :not_alive}, state}

      true ->
        case :ets.lookup(@table, id) do
          [{_, other, _, _}] when other != pid ->
            if Process.alive?(other),
              do: {:reply, {:error, :already_registered}, state},
              else: {:reply, :ok, insert(state, row)}

          [_] ->
            :ets.insert(@table, row)
            {:reply, :ok, state}

          [] ->
            {:reply, :ok, insert(state, row)}
        end
    end
  end

  def handle_call({:unregister, id}, _, state) do
    case Enum.find(state.monitors, fn {_, known} -> known == id end) do
      {ref, _} ->
        Process.demonitor(ref, [:flush])
        :ets.delete(@table, id)

        {:reply, :ok,
         %{state | monitors: Map.delete(state.monitors, ref), ended: MapSet.put(state.ended, id)}}

      nil ->
        {:reply, {:error, :not_found}, state}
    end
  end

  @impl true
  def handle_cast(:agent_is_up, state) do
    Enum.each(Registry.rows(), &put/1)
    {:noreply, state}
  end

  @impl true
  def handle_info({:DOWN, ref, :process, pid, reason}, state) do
    {id, monitors} = Map.pop(state.monitors, ref)

    case id && :ets.lookup(@table, id) do
      [{_, ^pid, _, _}] ->
        :ets.delete(@table, id)
        Processes.tell_down(id, pid, reason)

        Door.call(
          "DELETE",
          Registry.path(id),
          FoundationAgent.JSON.encode(%{"reason" => Processes.text(reason)})
        )

        {:noreply, %{state | monitors: monitors, ended: MapSet.put(state.ended, id)}}

      _ ->
        {:noreply, %{state | monitors: monitors}}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  defp insert(state, {id, pid, _, _} = row) do
    :ets.insert(@table, row)
    # The goodbye of the one before may still be on its way: this must come after it.
    if id in state.ended, do: put(row)

    %{
      state
      | monitors: Map.put(state.monitors, Process.monitor(pid), id),
        ended: MapSet.delete(state.ended, id)
    }
  end

  defp put({id, _, _, _} = row), do: Door.call("PUT", Registry.path(id), Registry.body(row))
end
