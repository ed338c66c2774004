defmodule FoundationAgent.LocalTest do
  @moduledoc "The local path: no agent is there, and everything works inside the application."
  use FoundationAgent.Test.Case
  require Logger

  setup do
    start_alone()
  end

  test "registry: register, get, list, death, unregister" do
    pid = spawn(fn -> Process.sleep(:infinity) end)
    assert :ok = FoundationAgent.register(:worker, pid, metadata: %{a: 1})
    assert {:ok, %{from: :local, pid: ^pid, metadata: %{a: 1}}} = FoundationAgent.get("worker")
    assert {:error, :already_registered} = FoundationAgent.register(:worker)
    assert :ok = FoundationAgent.register(:me)
    assert ["me", "worker"] = Enum.map(FoundationAgent.list(), & &1.id)
    Process.exit(pid, :kill)
    wait_until(fn -> FoundationAgent.get(:worker) == {:error, :not_found} end)
    assert :ok = FoundationAgent.unregister(:me)
    assert {:error, :not_found} = FoundationAgent.unregister(:me)
    assert {:error, :reserved} = FoundationAgent.register("shop")
    assert {:error, :not_alive} = FoundationAgent.register(:dead, pid)
  end

  test "contexts nest, end with their function, and go with a spawned process" do
    FoundationAgent.set_context(%{a: 1})

    assert_raise RuntimeError, fn ->
      FoundationAgent.with_context(%{b: 2}, fn ->
        FoundationAgent.set_context(%{a: 3})
        parent = self()
        FoundationAgent.spawn_with_context(fn -> send(parent, {:context, FoundationAgent.get_context()}) end)
        assert_receive {:context, %{a: 3, b: 2}}
        raise "x"
      end)
    end

    assert FoundationAgent.get_context() == %{a: 1}
    FoundationAgent.clear_context()
    assert FoundationAgent.get_context() == %{}
  end

  test "what a process held is forgotten when it ends" do
    {pid, ref} =
      spawn_monitor(fn -> FoundationAgent.set_context(%{a: 1}) && FoundationAgent.start_span("s") end)

    assert_receive {:DOWN, ^ref, _, _, _}

    wait_until(fn ->
      FoundationAgent.Contexts.get(pid) == %{} and FoundationAgent.Spans.current_ids(pid) == nil
    end)

    wait_until(fn -> :ets.lookup(FoundationAgent.Processes, pid) == [] end)
  end

  test "spans: a stack, of which any may end" do
    a = FoundationAgent.start_span("a")
    b = FoundationAgent.start_span("b")
    c = FoundationAgent.start_span("c")
    assert :ok = FoundationAgent.link_span(a)
    assert :ok = FoundationAgent.end_span(b)
    assert FoundationAgent.current_span().span_id == c
    assert [{_, ^a}] = FoundationAgent.current_span().links
    assert :ok = FoundationAgent.end_span()
    assert FoundationAgent.current_span().span_id == a
    assert :ok = FoundationAgent.end_span(a, {:error, "m"})
    assert {:error, :not_found} = FoundationAgent.end_span()
    assert {:error, :not_found} = FoundationAgent.add_attributes(%{x: 1})
    # Each is sent whole: nothing of them went to the door.
    assert %{door: %{emitted: 0}, otlp: %{queued: 3}} = FoundationAgent.stats()
  end

  test "propagation by text, and back" do
    FoundationAgent.with_span("a", fn ->
      a = FoundationAgent.current_span()
      propagation = FoundationAgent.propagate_context()
      assert propagation.traceparent == "00-#{a.trace_id}-#{a.span_id}-01"

      Task.async(fn ->
        FoundationAgent.with_propagated_context(propagation, fn ->
          FoundationAgent.with_span("b", fn ->
            assert FoundationAgent.current_span().parent_span_id == a.span_id
          end)
        end)

        FoundationAgent.with_span("c", fn -> assert FoundationAgent.current_span().parent_span_id == nil end)
      end)
      |> Task.await()
    end)

    assert FoundationAgent.propagate_context() == %{traceparent: nil, context: %{}}
  end

  test "once per: one of many callers, and again later" do
    answers =
      1..50
      |> Enum.map(fn _ ->
        Task.async(fn -> FoundationAgent.emit_once_per("e", 200, %{}, %{dedup_key: "k"}) end)
      end)
      |> Task.await_many()

    assert Enum.count(answers, &(&1 == :ok)) == 1
    assert :ok = FoundationAgent.emit_once_per("e", 200, %{}, %{dedup_key: "other"})
    wait_until(fn -> FoundationAgent.emit_once_per("e", 200, %{}, %{dedup_key: "k"}) == :ok end)
  end

  test "batches: full ones at once, others in time, none twice" do
    1..20
    |> Enum.map(fn _ ->
      Task.async(fn ->
        for(_ <- 1..50, do: FoundationAgent.emit_batched("b", %{n: 1}, %{}, size: 100, timeout: 60_000))
      end)
    end)
    |> Task.await_many()

    assert FoundationAgent.stats().door.queued == 10
    FoundationAgent.emit_batched("late", %{n: 1}, %{}, timeout: 50)
    wait_until(fn -> FoundationAgent.stats().door.queued == 11 end)

    lines =
      for {_, {:line, json}, _} <- FoundationAgent.Queue.peek(:door, 100, 1_000_000),
          do: elem(FoundationAgent.JSON.decode(json), 1)

    assert Enum.map(lines, & &1["measurements"]) |> Enum.frequencies() == %{
             %{"n" => 100, "records" => 100} => 10,
             %{"n" => 1, "records" => 1} => 1
           }
  end

  test "flags that were never seen have their defaults" do
    refute FoundationAgent.enabled?(:x)
    assert FoundationAgent.enabled?(:x, true)
    assert FoundationAgent.enabled_for_id?(:x, 1, true)
  end

  test "log records gain the context and the trace as metadata, their own win" do
    FoundationAgent.set_context(%{request_id: "r", user: 1})
    FoundationAgent.start_span("s")

    assert %{request_id: "r", user: 2, trace_id: _, span_id: _, error_context: %{user: 1}} =
             FoundationAgent.LogFilter.enrich(%{user: 2})
  end

  test "a full queue drops, counts, and blocks nobody" do
    start_alone(queue_bytes: 100_000)
    answers = for n <- 1..2_000, do: FoundationAgent.emit_event("e", %{n: n})
    stats = FoundationAgent.stats().door
    assert stats.dropped == Enum.count(answers, &(&1 == {:error, :dropped}))
    assert stats.emitted == 2_000 and stats.queued == 2_000 - stats.dropped and stats.queued in 100..1_000
    assert {:error, :timeout} = FoundationAgent.flush(50)
  end

  test "what is queued outlives a crash of its sender, and callers never notice" do
    FoundationAgent.emit_event("e")
    sender = Process.whereis(FoundationAgent.Sender.Door)
    Process.exit(sender, :kill)
    assert :ok = FoundationAgent.emit_event("e")
    wait_until(fn -> Process.whereis(FoundationAgent.Sender.Door) not in [nil, sender] end)
    assert FoundationAgent.stats().door.queued == 2
  end

  test "any term may be metadata" do
    for value <- [
          self(),
          make_ref(),
          {1, 2},
          <<255>>,
          fn -> 1 end,
          [1 | 2],
          %{{1} => 2},
          ~D[2026-11-22],
          1.5e300,
          -0.0,
          [a: 1],
          "\u2028\"\\\n\0"
        ] do
      assert :ok = FoundationAgent.emit_event("e", %{odd: value}, %{value: value})
      FoundationAgent.with_span("s", %{value: value}, fn -> :ok end)
      FoundationAgent.set_context(%{value: value})
    end

    for queue <- [:door, :otlp], {_, item, _} <- FoundationAgent.Queue.peek(queue, 1_000, 10_000_000) do
      assert {:ok, %{}} = FoundationAgent.JSON.decode(elem(item, 1))
    end
  end

  test "wrong options are named" do
    for {key, value} <- [agent_id: "", batch_delay: -1, no_such: 1, labels: [], logger_metadata: 1] do
      assert_raise ArgumentError, ~r/#{key}.*#{Regex.escape(inspect(value))}.*/, fn ->
        FoundationAgent.Config.new([{key, value}])
      end
    end
  end
end
