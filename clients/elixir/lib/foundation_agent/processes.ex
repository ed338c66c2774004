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

  @doc """
  Monitors the calling process. Cheap where it is monitored already; the first time it waits until it is, or
  the reason of an end that comes at once would not be known.
  """
  @spec watch() :: :ok
  def watch do
    if :ets.insert_new(@table, {self()}), do: GenServer.call(__MODULE__, :watch)
    :ok
  catch
    # It is just being restarted, and will then find the process in the table.
    :exit, _ -> :ok
  end

  @impl true
  def init(_) do
    # After a crash of this process, those that it had watched are watched again.
    for {pid} <- :ets.tab2list(@table), do: Process.monitor(pid)
    {:ok, nil}
  end

  @impl true
  def handle_call(:watch, {pid, _}, state) do
    Process.monitor(pid)
    {:reply, :ok, state}
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, reason}, state) do
    :ets.delete(@table, pid)
    {told, untold} = pid |> Spans.take() |> Enum.split_with(& &1.announced)
    context_told = Contexts.forget(pid)

    cond do
      told != [] -> tell_end_of(told, pid, reason)
      context_told -> Door.line(Contexts.clear_line(pid))
      true -> :ok
    end

    for span <- untold,
        do: Spans.put_complete(Span.ended(span, {:error, "process_down: " <> text(reason)}, %{}))

    {:noreply, state}
  end

  def handle_info(_, state), do: {:noreply, state}

  # The agent ends the spans; why, they are told before.
  defp tell_end_of(spans, pid, reason) do
    unless normal?(reason) do
      exit =
        {:event, "exception", System.os_time(:nanosecond),
         %{"exception.type" => "exit", "exception.message" => text(reason)}}

      for span <- spans, do: Door.line(Span.update_line(span, exit))
    end

    tell_down(Config.get().agent_id, pid, reason)
  end

  @doc "Tells the agent that a process within one of its agents has ended, after all that it did."
  @spec tell_down(String.t(), pid(), term()) :: :ok | {:error, :dropped}
  def tell_down(agent_id, pid, reason) do
    body =
      JSON.encode(%{"process" => Span.process(pid), "reason" => text(reason), "normal" => normal?(reason)})

    Door.call("POST", Registry.path(agent_id) <> "/down", body)
  end

  @doc "An exit reason as Erlang writes it."
  @spec text(term()) :: String.t()
  def text(reason) do
    "~0tp" |> :io_lib.format([reason], chars_limit: 500) |> IO.chardata_to_string()
  end

  defp normal?(reason), do: reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)
end
