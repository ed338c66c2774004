defmodule FoundationAgent.Contexts do
  @moduledoc """
  The error context of each process: nested maps, of which the inner wins, in ETS. It is always held here,
  and read from here; on the agent's path changes are told as well, so that the agent can put the
  context on spans, logs and obituaries.
  """

  alias FoundationAgent.{Config, JSON, Processes, Route, Span}
  alias FoundationAgent.Sender.Door

  @table __MODULE__

  # A row: {pid, [{values merged with the outer ones, whether the agent was told of it}]}, innermost first.

  @doc false
  def create_table,
    do: :ets.new(@table, [:set, :public, :named_table, write_concurrency: true, read_concurrency: true])

  @doc "Merges values into the innermost context."
  @spec set(map()) :: :ok
  def set(values) do
    Route.timed(:context, :context, fn path ->
      told = tell(path, "context.set", values)

      case frames(self()) do
        [{merged, pushed} | outer] -> store([{Map.merge(merged, values), pushed or told} | outer])
        [] -> store([{values, told}])
      end
    end)
  end

  @doc "Opens an inner context."
  @spec push(map()) :: :ok
  def push(values) do
    Route.timed(:context, :context, fn path ->
      frames = frames(self())
      store([{Map.merge(merged(frames), values), tell(path, "context.push", values)} | frames])
    end)
  end

  @doc "Closes the innermost context."
  @spec pop() :: :ok
  def pop do
    Route.timed(:context, :context, fn _ ->
      case frames(self()) do
        [{_, told} | outer] ->
          if told, do: tell(:agent, "context.pop", nil)
          store(outer)

        [] ->
          :ok
      end
    end)
  end

  @doc "Removes all contexts of the process."
  @spec clear() :: :ok
  def clear do
    Route.timed(:context, :context, fn _ ->
      if Enum.any?(take(self()), &elem(&1, 1)), do: tell(:agent, "context.clear", nil)
      :ok
    end)
  end

  @doc "The merged context of a process."
  @spec get(pid()) :: map()
  def get(pid), do: pid |> frames() |> merged()

  @doc "Takes what a process that ended had. Says whether the agent knows of it."
  @spec forget(pid()) :: boolean()
  def forget(pid), do: pid |> take() |> Enum.any?(&elem(&1, 1))

  @doc "The line that clears a process's contexts."
  @spec clear_line(pid()) :: iodata()
  def clear_line(pid), do: line("context.clear", pid, nil)

  defp tell(:local, _, _), do: false
  defp tell(:agent, call, values), do: Door.line(line(call, self(), values)) == :ok

  defp line(call, pid, values) do
    JSON.object([
      {"call", call},
      {"agent_id", Config.get().agent_id},
      {"process", Span.process(pid)},
      {"context", values}
    ])
  end

  defp merged([{values, _} | _]), do: values
  defp merged([]), do: %{}

  defp frames(pid) do
    case :ets.lookup(@table, pid) do
      [{_, frames}] -> frames
      [] -> []
    end
  end

  defp take(pid) do
    case :ets.take(@table, pid) do
      [{_, frames}] -> frames
      [] -> []
    end
  end

  defp store([]) do
    :ets.delete(@table, self())
    :ok
  end

  defp store(frames) do
    Processes.watch()
    :ets.insert(@table, {self(), frames})
    :ok
  end
end
