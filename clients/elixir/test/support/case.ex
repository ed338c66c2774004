defmodule FoundationAgent.Test.Case do
  @moduledoc "A test with the client running against nothing, or against the built agent."

  use ExUnit.CaseTemplate

  alias FoundationAgent.Test.{AgentProcess, Backend}

  using do
    quote do
      import FoundationAgent.Test.AgentProcess, only: [wait_until: 1, wait_until: 2]
      import FoundationAgent.Test.Case
      alias FoundationAgent.Test.{AgentProcess, Backend}
    end
  end

  @doc "Starts an agent and a backend; the agent ends with the test."
  def start_agent(options \\ []) do
    {:ok, backend} = Backend.start_link()
    agent = AgentProcess.start([backend: Backend.port(backend)] ++ options)

    ExUnit.Callbacks.on_exit(fn ->
      System.cmd("kill", ["-KILL", "#{agent.os_pid}"], stderr_to_stdout: true) && File.rm_rf!(agent.dir)
    end)

    {agent, backend}
  end

  @doc "Runs the client, anew."
  def start_client(options) do
    Application.stop(:foundation_agent)

    for {key, _} <- Application.get_all_env(:foundation_agent),
        do: Application.delete_env(:foundation_agent, key)

    options = Keyword.merge([agent_id: "shop", poll_interval: 100, otlp: "http://127.0.0.1:9"], options)
    for {key, value} <- options, do: Application.put_env(:foundation_agent, key, value)
    {:ok, _} = Application.ensure_all_started(:foundation_agent)
    :ok
  end

  @doc "Runs the client against an agent and waits for the link."
  def connect(agent, options \\ []) do
    start_client([door: agent.door, otlp: agent.otlp] ++ options)
    AgentProcess.wait_until(fn -> FoundationAgent.stats().connected end)
  end

  @doc "Runs the client with no agent."
  def start_alone(options \\ []), do: start_client([door: "/nonexistent/app.sock"] ++ options)
end
