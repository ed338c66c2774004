defmodule FoundationAgent.Test.AgentProcess do
  @moduledoc "The built agent as a child process, on free ports, with a state directory of its own."

  alias FoundationAgent.HTTP

  @root Path.expand("../../../..", __DIR__)

  defstruct [:port, :os_pid, :dir, :args, :health, :otlp, :door, :control]

  @doc "Starts the agent. Options: `:config` (files of config/), `:overlay` (YAML), `:backend` (port of OTLP/HTTP)."
  def start(options) do
    # Unix sockets have short paths.
    dir = Path.join(System.tmp_dir!(), "fae#{System.os_time(:microsecond)}")
    File.mkdir_p!(dir)
    [health, metrics, grpc, http, door, page] = Enum.map(1..6, fn _ -> free_port() end)

    ports = """
    receivers:
      otlp: {protocols: {grpc: {endpoint: "127.0.0.1:#{grpc}"}, http: {endpoint: "127.0.0.1:#{http}"}}}
      foundation: {http: {endpoint: "127.0.0.1:#{door}"}}
    exporters:
      otlp_http:
        endpoint: "http://127.0.0.1:#{options[:backend]}"
        encoding: json
        compression: none
        retry_on_failure: {max_elapsed_time: 0}
        sending_queue: {storage: file_storage, block_on_overflow: true, batch: {flush_timeout: 20ms, min_size: 1}}
    extensions:
      health_check: {endpoint: "127.0.0.1:#{health}"}
      control: {status_page: {endpoint: "127.0.0.1:#{page}"}}
    service:
      pipelines:
        logs: {exporters: [otlp_http]}
        traces: {exporters: [otlp_http]}
        metrics: {exporters: [otlp_http]}
      telemetry:
        logs: {level: warn}
        metrics:
          readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: #{metrics}}}}}]
    """

    shipped = for file <- options[:config] || ["agent.yaml"], do: Path.join([@root, "config", file])

    overlays =
      for {text, n} <- Enum.with_index([ports | List.wrap(options[:overlay])]),
          do: write(dir, "overlay#{n}.yaml", text)

    args = Enum.flat_map(shipped ++ overlays, &["--config", &1])

    run(%__MODULE__{
      dir: dir,
      args: args,
      health: {'127.0.0.1', health},
      otlp: "http://127.0.0.1:#{http}",
      door: Path.join(dir, "run/app.sock"),
      control: {:local, Path.join(dir, "control/control.sock")}
    })
  end

  @doc "Runs the agent again, with the state that it left."
  def run(agent) do
    env = [
      {'FOUNDATION_STATE_DIR', to_charlist(agent.dir)},
      {'FOUNDATION_FLAGS_FILE', to_charlist(Path.join(@root, "config/flags.json"))}
    ]

    # The shell waits for the end of its input, which is the end of the test's BEAM, however that comes.
    script = """
    exec 3<&0; "$0" "$@" </dev/null 3<&- & child=$!
    echo "pid $child"
    ( cat <&3; kill -9 $child ) >/dev/null 2>&1 &
    exec 3<&-; wait $child
    """

    args = ["-c", script, System.fetch_env!("FOUNDATION_AGENT_BINARY") | agent.args]
    options = [:binary, :exit_status, :stderr_to_stdout, args: args, env: env]
    port = Port.open({:spawn_executable, "/bin/bash"}, options)
    os_pid = receive(do: ({^port, {:data, "pid " <> rest}} -> rest |> Integer.parse() |> elem(0)))
    agent = %{agent | port: port, os_pid: os_pid}

    wait_until(
      fn ->
        ended!(agent) && match?({:ok, {200, _, _}}, HTTP.call(agent.health, "GET", "/", [], "", 1_000))
      end,
      60_000
    )

    agent
  end

  defp ended!(%{port: port}) do
    receive do
      {^port, {:exit_status, status}} -> raise "the agent ended: #{status}"
      {^port, {:data, text}} -> if text =~ "rror", do: IO.puts(text), else: true
    after
      0 -> true
    end
  end

  @doc "An orderly end, waited for."
  def stop(agent), do: signal(agent, "TERM")

  @doc "kill -9, waited for."
  def kill(agent), do: signal(agent, "KILL")

  defp signal(%{port: port, os_pid: os_pid}, signal) do
    System.cmd("kill", ["-" <> signal, "#{os_pid}"], stderr_to_stdout: true)
    await_exit(port)
  end

  defp await_exit(port) do
    receive do
      {^port, {:exit_status, _}} -> :ok
      {^port, {:data, _}} -> await_exit(port)
    after
      30_000 -> raise "the agent does not end"
    end
  end

  @doc "A call of the operators' API."
  def operator(agent, method, path, body \\ "{}") do
    {:ok, {status, _, answer}} =
      HTTP.call(agent.control, method, path, [{"content-type", "application/json"}], body, 10_000)

    unless status in 200..299, do: raise("#{method} #{path}: #{status} #{answer}")
    {:ok, decoded} = FoundationAgent.JSON.decode(answer)
    decoded
  end

  @doc "Switches flags of the migration."
  def flags(agent, names, verb \\ "enable") do
    for name <- names, do: operator(agent, "POST", "/v1/flags/#{name}/#{verb}?author=test&reason=test")
  end

  def write(dir, name, text) do
    path = Path.join(dir, name)
    File.write!(path, text)
    path
  end

  @doc "Waits until a condition holds; returns what it was."
  def wait_until(condition, timeout \\ 15_000) do
    deadline = System.monotonic_time(:millisecond) + timeout
    wait(condition, deadline)
  end

  defp wait(condition, deadline) do
    cond do
      result = condition.() -> result
      System.monotonic_time(:millisecond) > deadline -> raise ExUnit.AssertionError, message: "waited in vain"
      true -> Process.sleep(20) && wait(condition, deadline)
    end
  end

  # Below the ports that the kernel gives to outgoing connections.
  defp free_port do
    port = 10_000 + :rand.uniform(20_000)

    case :gen_tcp.listen(port, ip: {127, 0, 0, 1}) do
      {:ok, listener} -> :gen_tcp.close(listener) && port
      {:error, _} -> free_port()
    end
  end
end
