defmodule FoundationAgent.RunbookTest do
  @moduledoc "The runbook's five examples, against the built agent with the stages overlay."
  use FoundationAgent.Test.Case
  require Logger

  @moduletag :agent
  @moduletag timeout: 120_000

  @flags ~w(use_ets_agent_registry use_logger_error_context use_genserver_telemetry use_genserver_span_management use_ets_sampled_events)

  setup_all do
    {agent, backend} = start_agent(config: ["agent.yaml", "stages.yaml"])
    connect(agent)
    AgentProcess.flags(agent, @flags)
    wait_until(fn -> Enum.all?(@flags, &FoundationAgent.enabled?/1) end)
    %{agent: agent, backend: backend}
  end

  test "registry: a spawned process that sleeps, and dies", %{backend: backend} do
    pid = spawn(fn -> Process.sleep(:infinity) end)
    assert :ok = FoundationAgent.register(:test_agent, pid, metadata: %{type: :worker}, labels: %{zone: "eu"})
    assert {:ok, agent} = FoundationAgent.get(:test_agent)

    assert %{
             from: :agent,
             pid: ^pid,
             id: "test_agent",
             metadata: %{"type" => "worker"},
             labels: %{"zone" => "eu"}
           } = agent

    assert agent.os_pid == String.to_integer(System.pid())
    assert "shop" in Enum.map(FoundationAgent.list(), & &1.id)
    assert {:error, :already_registered} = FoundationAgent.register(:test_agent, self())

    Process.exit(pid, :kill)
    wait_until(fn -> FoundationAgent.get(:test_agent) == {:error, :not_found} end)

    wait_until(fn ->
      Enum.any?(Backend.logs(backend), &(inspect(&1) =~ "killed" and inspect(&1) =~ "test_agent"))
    end)

    # A supervisor starts it again at once; the goodbye of the one before must not take it along.
    assert :ok = FoundationAgent.register(:test_agent, self())
    :ok = FoundationAgent.flush()
    assert {:ok, %{from: :agent, pid: me}} = FoundationAgent.get(:test_agent)
    assert me == self()
    assert :ok = FoundationAgent.unregister(:test_agent)
    assert {:error, :not_found} = FoundationAgent.get(:test_agent)
  end

  test "error context: nested, in logs", %{backend: backend} do
    :ok = FoundationAgent.LogHandler.attach(level: :info)
    FoundationAgent.set_context(%{request_id: "r-1", operation: "validation"})

    FoundationAgent.with_context(%{step: "parse", operation: "inner"}, fn ->
      assert FoundationAgent.get_context() == %{request_id: "r-1", operation: "inner", step: "parse"}
      Logger.error("cannot parse", user: 7)
    end)

    assert FoundationAgent.get_context() == %{request_id: "r-1", operation: "validation"}
    FoundationAgent.clear_context()
    assert FoundationAgent.get_context() == %{}
    FoundationAgent.LogHandler.detach()

    log =
      wait_until(fn -> Enum.find(Backend.logs(backend), &(&1["body"]["stringValue"] == "cannot parse")) end)

    assert %{
             "error_context.request_id" => "r-1",
             "error_context.operation" => "inner",
             "error_context.step" => "parse",
             "user" => 7
           } = log["attributes"]

    assert log["severityNumber"] == 17
  end

  test "error context reaches events through the agent", %{backend: backend} do
    FoundationAgent.with_context(%{request_id: "r-2"}, fn ->
      FoundationAgent.emit_event("in.context", %{n: 1})
    end)

    [event] = wait_until(fn -> present(Backend.events(backend, "in.context")) end)
    assert event["attributes"]["error_context.request_id"] == "r-2"
  end

  test "spans: nested, with true durations", %{backend: backend} do
    FoundationAgent.with_span("outer", %{a: 1}, fn ->
      id = FoundationAgent.start_span(:inner, %{b: 2}, kind: :client)
      assert FoundationAgent.current_span().span_id == id
      FoundationAgent.add_attributes(%{c: 3})
      FoundationAgent.record_event("happened", %{d: 4})
      Process.sleep(30)
      assert :ok = FoundationAgent.end_span(id, :ok, %{e: 5})
      assert FoundationAgent.current_span().name == "outer"
      parent = self()

      FoundationAgent.spawn_with_context(fn ->
        FoundationAgent.with_span("spawned", fn -> send(parent, :done) end)
      end)

      assert_receive :done
    end)

    assert FoundationAgent.current_span() == nil
    spans = wait_until(fn -> by_name(backend, ["outer", "inner", "spawned"]) end)
    %{"outer" => outer, "inner" => inner, "spawned" => spawned} = spans
    assert inner["parentSpanId"] == outer["spanId"] and inner["traceId"] == outer["traceId"]
    assert spawned["parentSpanId"] == outer["spanId"]
    assert %{"b" => 2, "c" => 3, "e" => 5} = inner["attributes"]
    assert [%{"name" => "happened"}] = inner["events"]
    assert inner["kind"] == 3 and inner["status"]["code"] == 1
    assert duration(inner) in 30_000_000..2_000_000_000
    assert duration(outer) >= duration(inner)
    assert outer["resource"]["agent.id"] == "shop"
  end

  test "spans: what raises is told, and goes on", %{backend: backend} do
    assert_raise ArgumentError, fn ->
      FoundationAgent.with_span("raises", fn -> raise ArgumentError, "no" end)
    end

    %{"raises" => span} = wait_until(fn -> by_name(backend, ["raises"]) end)
    assert %{"code" => 2, "message" => message} = span["status"]
    assert message =~ "ArgumentError"
    assert [%{"name" => "exception"}] = span["events"]
  end

  test "spans: a process that dies with open spans", %{backend: backend} do
    {pid, ref} =
      spawn_monitor(fn ->
        FoundationAgent.start_span("abandoned.outer")
        FoundationAgent.start_span("abandoned.inner")
        exit(:boom)
      end)

    assert_receive {:DOWN, ^ref, _, ^pid, :boom}
    spans = wait_until(fn -> by_name(backend, ["abandoned.outer", "abandoned.inner"]) end)

    for {_, span} <- spans do
      assert span["attributes"]["foundation.span.end_reason"] == "process_down"
      assert span["status"]["code"] == 2
      assert Enum.any?(span["events"], &(Backend.attributes(&1["attributes"])["exception.message"] == "boom"))
    end
  end

  test "events: deduplicated, and the account adds up", %{backend: backend} do
    for _ <- 1..100, do: FoundationAgent.emit_event([:test, :event], %{count: 1}, %{dedup_key: "test"})
    :ok = FoundationAgent.flush()
    [first] = wait_until(fn -> present(Backend.events(backend, "test.event")) end)
    assert %{"measurement.count" => 1, "dedup_key" => "test"} = first["attributes"]

    summary = wait_until(fn -> Enum.at(Backend.events(backend, "test.event"), 1) end, 30_000)
    assert summary["attributes"]["log_count"] == 100
  end

  test "events: once per, batched, start, stop, if", %{backend: backend} do
    for _ <- 1..10, do: assert(:ok = FoundationAgent.emit_once_per("once", 3_000, %{}, %{dedup_key: "o"}))

    for n <- 1..10,
        do: assert(:ok = FoundationAgent.emit_batched("batched", %{n: n}, %{}, key: "b", size: 10))

    started = FoundationAgent.emit_start([:work], %{job: 1})
    FoundationAgent.emit_stop([:work], started, %{job: 1})
    FoundationAgent.emit_if(false, "never")
    FoundationAgent.emit_if(true, "sometimes")
    :ok = FoundationAgent.flush()

    wait_until(fn ->
      present(Backend.events(backend, "work.stop")) && present(Backend.events(backend, "sometimes"))
    end)

    assert [_] = Backend.events(backend, "work.start")
    assert [_] = Backend.events(backend, "once")
    assert [] = Backend.events(backend, "never")
    [batch] = wait_until(fn -> present(Backend.events(backend, "batched")) end)
    assert batch["attributes"]["foundation.batch.records"] == 10
  end

  test "flags: on, off, for a share of ids", %{agent: agent} do
    assert FoundationAgent.enabled?(:use_ets_agent_registry)
    refute FoundationAgent.enabled?(:enable_migration_monitoring)
    refute FoundationAgent.enabled?(:no_such_flag)
    assert FoundationAgent.enabled?(:no_such_flag, true)

    AgentProcess.operator(
      agent,
      "POST",
      "/v1/flags/enable_migration_monitoring/percentage?author=t&reason=t",
      ~s({"percentage": 50})
    )

    on =
      wait_until(fn ->
        on = Enum.filter(1..40, &FoundationAgent.enabled_for_id?(:enable_migration_monitoring, &1))
        if(on != [], do: on)
      end)

    assert length(on) in 5..35
    assert on == Enum.filter(1..40, &FoundationAgent.enabled_for_id?(:enable_migration_monitoring, &1))
    AgentProcess.flags(agent, ["enable_migration_monitoring"], "reset")
  end

  test "heartbeats carry vitals, with both paths' latencies", %{agent: agent} do
    FoundationAgent.set_context(%{a: 1})
    FoundationAgent.clear_context()
    FoundationAgent.with_span("served", %{}, fn -> Process.sleep(1) end, kind: :server)
    vitals = FoundationAgent.Vitals.collect()
    assert vitals["context_agent_seconds"] > 0 and vitals["context_seconds"] > 0
    assert vitals["response_time_seconds"] > 0.001
    {:ok, _} = FoundationAgent.get("shop")
    AgentProcess.operator(agent, "GET", "/v1/status")

    assert {:ok, %{vitals: %{"process_count" => count, "table_memory_bytes" => _, "memory_bytes" => _}}} =
             FoundationAgent.get("shop")

    assert count > 10
  end

  defp present([]), do: nil
  defp present(list), do: list

  defp by_name(backend, names) do
    spans = for span <- Backend.spans(backend), span["name"] in names, into: %{}, do: {span["name"], span}
    if map_size(spans) == length(names), do: spans
  end

  defp duration(span),
    do: String.to_integer(span["endTimeUnixNano"]) - String.to_integer(span["startTimeUnixNano"])
end
