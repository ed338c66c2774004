# What the client uses of the real one, which is not among Erlang/OTP's own applications.
defmodule :telemetry do
  use Agent

  def attach_many(id, events, fun, config),
    do: Agent.start_link(fn -> {id, events, fun, config} end, name: __MODULE__) && :ok

  def detach(_), do: Agent.stop(__MODULE__)

  def execute(name, measurements, metadata) do
    {_, events, fun, config} = Agent.get(__MODULE__, & &1)
    if name in events, do: fun.(name, measurements, metadata, config)
    :ok
  end
end

defmodule FoundationAgent.TelemetryTest do
  use FoundationAgent.Test.Case

  test "attached events are forwarded, and feed the response time" do
    start_alone()

    assert :ok =
             FoundationAgent.Telemetry.attach([[:my_app, :request, :stop]],
               response_time: [[:my_app, :request, :stop]]
             )

    second = System.convert_time_unit(1, :second, :native)
    :telemetry.execute([:my_app, :request, :stop], %{duration: 2 * second}, %{conn: self()})
    :telemetry.execute([:my_app, :other], %{}, %{})
    assert :ok = FoundationAgent.Telemetry.detach()

    assert [{_, {:line, json}, _}] = FoundationAgent.Queue.peek(:door, 10, 10_000)

    assert {:ok, %{"name" => "my_app.request.stop", "measurements" => %{"duration" => duration}}} =
             FoundationAgent.JSON.decode(json)

    assert duration == 2 * second
    assert FoundationAgent.Vitals.collect()["response_time_seconds"] == 2.0
  end
end
