defmodule FoundationAgent.Processes do
  @moduledoc """
  Monitors the processes that hold spans or contexts, and tells their ends with the reason. What they left
  open the agent ends; what it never heard of is sent whole, as an error.
  """

  use GenServer

  alias FoundationAgent.{Config, Contexts, JSON, Registry, Span, Spans}
  alias FoundationAgent.Sender.Door

  @table __MODULE__

  @doc false
  def create_table, do: :ets.new(@table, [:set, :public, :named_table, write_concurrency: true])

  @doc false
  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Monitors a process. Cheap where it is monitored already."
  @spec watch(pid()) :: :ok
  def watch(pid) do
    if :ets.insert_new(@table, {pid}), do: GenServer.cast(__MODULE__, {:watch, pid})
    :ok
  end

  @impl true
  def init(_) do
    # After a crash of this process, those that it had watched are watched again.
    for {pid} <- :ets.tab2list(@table), do: Process.monitor(pid)
    {:ok, nil}
  end

  @impl true
  def handle_cast({:watch, pid}, state) do
    Process.monitor(pid)
    {:noreply, state}
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, reason}, state) do
    :ets.delete(@table, pid)
    {told, untold} = pid |> Spans.take() |> Enum.split_with(& &1.announced)
    context_told = Contexts.forget(pid)

    cond do
      told != [] -> tell_down(Config.get().agent_id, pid, reason)
      context_told -> Door.line(Contexts.clear_line(pid))
      true -> :ok
    end

    for span <- untold, do: Spans.put_complete(Span.ended(span, {:error, "process_down: " <> text(reason)}, %{}))
    {:noreply, state}
  end

  def handle_info(_, state), do: {:noreply, state}

  @doc "Tells the agent that a process within one of its agents has ended, after all that it did."
  @spec tell_down(String.t(), pid(), term()) :: :ok | {:error, :dropped}
  def tell_down(agent_id, pid, reason) do
    body = JSON.encode(%{"process" => Span.process(pid), "reason" => text(reason), "normal" => normal?(reason)})
    Door.call("POST", Registry.path(agent_id) <> "/down", body)
  end

  @doc "An exit reason as Erlang writes it."
  @spec text(term()) :: String.t()
  def text(reason) do
    "~0tp" |> :io_lib.format([reason], chars_limit: 500) |> IO.chardata_to_string()
  end

  defp normal?(reason), do: reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)
end
