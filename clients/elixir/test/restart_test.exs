defmodule FoundationAgent.RestartTest do
  @moduledoc "The agent comes and goes, and flags change, in the middle of work."
  use FoundationAgent.Test.Case

  @moduletag :agent
  @moduletag timeout: 300_000

  # Every event as it is: what arrives can be counted.
  @no_dedup "processors: {event_dedup: {rules: []}}"

  test "the agent stopped and started 20 times under load" do
    {agent, backend} = start_agent(overlay: @no_dedup)
    # Small enough that something is dropped while the agent is away.
    connect(agent, queue_bytes: 40_000)
    before = resources()
    load = Task.async(fn -> load(0, MapSet.new(), 0) end)
    worker = spawn(fn -> Process.sleep(:infinity) end)
    :ok = FoundationAgent.register(:worker, worker)

    Enum.reduce(1..20, agent, fn round, agent ->
      if rem(round, 2) == 0, do: AgentProcess.kill(agent), else: AgentProcess.stop(agent)
      wait_until(fn -> match?({:ok, %{pid: ^worker, from: :local}}, FoundationAgent.get(:worker)) end)
      agent = AgentProcess.run(agent)
      wait_until(fn -> match?({:ok, %{pid: ^worker, from: :agent}}, FoundationAgent.get(:worker)) end)
      agent
    end)

    send(load.pid, :stop)
    {sent, dropped} = Task.await(load)
    :ok = FoundationAgent.flush(60_000)
    wait_until(fn -> FoundationAgent.stats().door.queued == 0 end)
    stats = FoundationAgent.stats().door
    IO.puts("\n20 restarts: #{MapSet.size(sent)} events sent, #{dropped} dropped, #{inspect(stats)}")
    assert dropped > 0
    assert stats.rejected == 0 and stats.dropped == dropped

    wait_until(
      fn -> backend |> Backend.events("load") |> MapSet.new(& &1["attributes"]["n"]) == sent end,
      30_000
    )

    wait_until(fn -> reported(backend) == dropped end)

    # Some of each are the test's own: connections of the exporter to the backend.
    wait_until(fn ->
      grown(before)
      |> Enum.all?(fn {what, by} -> by <= %{processes: 5, ports: 5, atoms: 1_000, tables: 2}[what] end) ||
        (IO.inspect(grown(before)) && false)
    end)

    assert FoundationAgent.Queue.memory(:door) < 100_000
  end

  # An answer that a kill took away has its report come twice; its key says so.
  defp reported(backend) do
    reports =
      backend
      |> Backend.events("foundation.client.dropped")
      |> Enum.map(& &1["attributes"])
      |> Enum.uniq_by(& &1["dedup_key"])

    reports |> Enum.map(& &1["measurement.count"]) |> Enum.sum()
  end

  # Returns the numbers of the events that were taken in, and how many were dropped.
  defp load(n, sent, dropped) do
    receive do
      :stop -> {sent, dropped}
    after
      if(rem(n, 20) == 0, do: 10, else: 0) ->
        case FoundationAgent.emit_event("load", %{}, %{n: n}) do
          :ok -> load(n + 1, MapSet.put(sent, n), dropped)
          {:error, :dropped} -> load(n + 1, sent, dropped + 1)
        end
    end
  end

  defp resources do
    %{
      processes: :erlang.system_info(:process_count),
      ports: length(Port.list()),
      atoms: :erlang.system_info(:atom_count),
      tables: length(:ets.all())
    }
  end

  defp grown(before), do: Map.merge(before, resources(), fn _, before, now -> now - before end)

  describe "with flags" do
    setup do
      {agent, backend} = start_agent(config: ["agent.yaml", "stages.yaml"])
      connect(agent)
      %{agent: agent, backend: backend}
    end

    @spans ~w(use_genserver_telemetry use_genserver_span_management)

    test "off: registrations in shadow, complete spans, contexts and once-per here", %{backend: backend} do
      assert :ok = FoundationAgent.register(:worker)
      assert {:ok, %{from: :local}} = FoundationAgent.get(:worker)

      FoundationAgent.with_context(%{a: 1}, fn ->
        FoundationAgent.with_span("whole", fn -> FoundationAgent.with_span("inner", fn -> :ok end) end)
      end)

      assert [:ok, :suppressed] = for(_ <- 1..2, do: FoundationAgent.emit_once_per("once", 60_000))
      assert :ok = FoundationAgent.flush()

      spans =
        wait_until(fn ->
          if(length(Backend.spans(backend)) == 2, do: Map.new(Backend.spans(backend), &{&1["name"], &1}))
        end)

      assert spans["inner"]["parentSpanId"] == spans["whole"]["spanId"]
      assert FoundationAgent.stats().door.rejected == 0
    end

    test "switched in the middle of spans: none is lost, none comes twice", %{agent: agent, backend: backend} do
      flips =
        Task.async(fn ->
          for _ <- 1..6 do
            AgentProcess.flags(agent, @spans)
            wait_until(fn -> Enum.all?(@spans, &FoundationAgent.enabled?/1) end)
            AgentProcess.flags(agent, @spans, "disable")
            wait_until(fn -> not Enum.any?(@spans, &FoundationAgent.enabled?/1) end)
          end
        end)

      count = spans_until(flips, 0)
      assert :ok = FoundationAgent.flush(30_000)
      wait_until(fn -> length(Backend.spans(backend)) >= 2 * count end, 30_000)
      ids = Enum.map(Backend.spans(backend), & &1["spanId"])
      assert length(ids) == 2 * count and ids == Enum.uniq(ids)
      assert Enum.all?(Backend.spans(backend), &(&1["status"]["code"] in [nil, 0]))
    end

    defp spans_until(task, count) do
      FoundationAgent.with_span("outer", fn ->
        FoundationAgent.with_span("inner", fn -> Process.sleep(5) end)
      end)

      if Task.yield(task, 0), do: count + 1, else: spans_until(task, count + 1)
    end

    test "the agent away in the middle of a span", %{agent: agent, backend: backend} do
      AgentProcess.flags(agent, @spans)
      wait_until(fn -> Enum.all?(@spans, &FoundationAgent.enabled?/1) end)
      FoundationAgent.start_span("survivor")
      :ok = FoundationAgent.flush()
      AgentProcess.kill(agent)
      wait_until(fn -> not FoundationAgent.stats().connected end)
      FoundationAgent.with_span("meanwhile", fn -> :ok end)
      FoundationAgent.end_span()
      assert FoundationAgent.enabled?(hd(@spans))
      AgentProcess.run(agent)

      spans =
        wait_until(
          fn ->
            if(length(Backend.spans(backend)) == 2, do: Map.new(Backend.spans(backend), &{&1["name"], &1}))
          end,
          30_000
        )

      assert spans["meanwhile"]["parentSpanId"] == spans["survivor"]["spanId"]
      assert spans["survivor"]["status"]["code"] in [nil, 0]
    end
  end

  test "an orderly stop sends what is queued, and says goodbye after it" do
    {agent, backend} = start_agent()
    connect(agent, batch_delay: 60_000)

    for n <- 1..200,
        do:
          FoundationAgent.with_span("span", %{n: n}, fn -> FoundationAgent.emit_event("e", %{}, %{n: n}) end)

    Application.stop(:foundation_agent)

    wait_until(fn -> length(Backend.events(backend, "e")) == 200 and length(Backend.spans(backend)) == 200 end)

    assert Enum.all?(Backend.spans(backend), &(&1["status"]["code"] in [nil, 0]))
  end

  test "a BEAM killed by kill -9 in the middle of nested spans: all arrive, with the reason" do
    {agent, backend} = start_agent()

    script = """
    for {key, value} <- [agent_id: "victim", door: #{inspect(agent.door)}, otlp: #{inspect(agent.otlp)}], do: Application.put_env(:foundation_agent, key, value)
    {:ok, _} = Application.ensure_all_started(:foundation_agent)
    wait = fn wait -> unless FoundationAgent.stats().connected, do: Process.sleep(10) && wait.(wait) end
    wait.(wait)
    FoundationAgent.set_context(%{request_id: "r-9"})
    for name <- ~w(one two three), do: FoundationAgent.start_span(name)
    FoundationAgent.add_attributes(%{step: 3})
    :ok = FoundationAgent.flush()
    IO.puts("open")
    Process.sleep(:infinity)
    """

    elixir = System.find_executable("elixir")

    port =
      Port.open({:spawn_executable, elixir}, [
        :binary,
        :exit_status,
        args: ["-pa", Application.app_dir(:foundation_agent, "ebin"), "-e", script]
      ])

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    assert_receive {^port, {:data, "open\n"}}, 60_000
    System.cmd("kill", ["-KILL", "#{os_pid}"])

    spans =
      wait_until(
        fn ->
          if(length(Backend.spans(backend)) == 3, do: Map.new(Backend.spans(backend), &{&1["name"], &1}))
        end,
        30_000
      )

    assert spans["three"]["parentSpanId"] == spans["two"]["spanId"] and
             spans["two"]["parentSpanId"] == spans["one"]["spanId"]

    assert spans["three"]["attributes"]["step"] == 3

    for {_, span} <- spans do
      assert span["attributes"]["foundation.span.end_reason"] == "agent_down"
      assert span["status"]["code"] == 2
      assert span["attributes"]["error_context.request_id"] == "r-9"
    end

    [obituary] = wait_until(fn -> with([] <- Backend.events(backend, "foundation.agent.down"), do: nil) end)
    assert inspect(obituary) =~ "victim" and inspect(obituary) =~ "SIGKILL"
  end
end
