defmodule FoundationAgent.SenderTest do
  @moduledoc "What the sender makes of each answer of the door."
  use FoundationAgent.Test.Case
  alias FoundationAgent.Test.StubDoor

  test "after 503 it goes on behind what was consumed, and nothing is sent twice" do
    me = self()

    start(fn lines ->
      send(me, {:lines, Enum.map(lines, &n/1)})

      if length(lines) > 2 do
        {503, "Retry-After: 1\r\n",
         ~s({"error":{"code":"pipeline_unavailable","message":"m","details":{"consumed":2,"accepted":1,"rejected":1,"errors":[{"line":2,"code":"invalid_field","message":"m"}]}}})}
      else
        {202, "", ~s({"accepted":#{length(lines)},"rejected":0,"errors":[]})}
      end
    end)

    for n <- 1..4, do: FoundationAgent.emit_event("e", %{n: n})
    assert :ok = FoundationAgent.flush(10_000)
    assert_received {:lines, [1, 2, 3, 4]}
    assert_received {:lines, [3, 4]}
    refute_received {:lines, _}
    assert %{emitted: 4, accepted: 3, rejected: 1, dropped: 0, queued: 0} = FoundationAgent.stats().door
  end

  test "what is refused for good is counted, and does not stop the rest" do
    start(fn lines ->
      if hd(lines) =~ "bad", do: {400, "", ~s({"error":{"code":"c","message":"m"}})}, else: {202, "", "{}"}
    end)

    FoundationAgent.emit_event("bad")
    assert :ok = FoundationAgent.flush()
    FoundationAgent.emit_event("good")
    assert :ok = FoundationAgent.flush()
    assert %{accepted: 1, rejected: 1, queued: 0} = FoundationAgent.stats().door
  end

  test "a span whose calls were switched off meanwhile is sent whole" do
    start(fn lines ->
      errors =
        for {_, n} <- Enum.with_index(lines, 1), do: ~s({"line":#{n},"code":"calls_disabled","message":"m"})

      {202, "", ~s({"accepted":0,"rejected":#{length(lines)},"errors":[#{Enum.join(errors, ",")}]})}
    end)

    wait_until(fn -> FoundationAgent.Flags.gate("use_genserver_telemetry") end)
    FoundationAgent.with_span("s", %{a: 1}, fn -> :ok end)
    assert {:error, :timeout} = FoundationAgent.flush(1_000)
    assert [{_, {:span, json}, _}] = FoundationAgent.Queue.peek(:otlp, 10, 10_000)

    assert {:ok, %{"name" => "s", "startTimeUnixNano" => _, "endTimeUnixNano" => _}} =
             FoundationAgent.JSON.decode(json)
  end

  test "an answer that is no JSON harms nobody" do
    start(fn _ -> {202, "", "nonsense"} end)
    FoundationAgent.emit_event("e")
    assert :ok = FoundationAgent.flush()
    assert FoundationAgent.stats().connected
  end

  defp start(fun) do
    start_client(door: StubDoor.start(fun))
    wait_until(fn -> FoundationAgent.stats().connected end)
  end

  defp n(line) do
    {:ok, event} = FoundationAgent.JSON.decode(line)
    event["measurements"]["n"]
  end
end
