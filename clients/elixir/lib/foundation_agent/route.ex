defmodule FoundationAgent.Route do
  @moduledoc """
  Which path a call takes, decided anew for each: the agent's, or the local one while its flag is off or the
  agent is away. What a process holds is the same in both, so a rollback in the middle of work loses nothing.
  """

  alias FoundationAgent.{Flags, Link, Vitals}

  @type path :: :agent | :local

  @flags %{
    registry: "use_ets_agent_registry",
    spans: "use_genserver_telemetry",
    context: "use_genserver_telemetry",
    events: "use_ets_sampled_events"
  }

  @doc "The path for a part of the client."
  @spec path(:registry | :spans | :context | :events) :: path()
  def path(part) do
    if Link.up?() and Flags.gate(Map.fetch!(@flags, part)), do: :agent, else: :local
  end

  @doc "Decides, runs the function with the path, and remembers how long it took the caller."
  @spec timed(Vitals.operation(), :registry | :spans | :context | :events, (path() -> result)) :: result
        when result: term()
  def timed(operation, part, fun) do
    started = System.monotonic_time()
    path = path(part)
    result = fun.(path)
    Vitals.took(operation, path, System.monotonic_time() - started)
    result
  end
end
