# What a call costs its caller, with the agent up, slow and gone: nanoseconds, medians of rounds.
#
#   FOUNDATION_SOCKET=/path/of/app.sock mix run --no-start bench/overhead.exs
#
# "up" is the agent at FOUNDATION_SOCKET, left out where that is unset. "slow" is a stand-in that answers each
# request after 50 ms; "gone" is a path where nobody listens.

defmodule Overhead do
  @calls 2_000
  @rounds 15

  def run(label, door) do
    Application.stop(:foundation_agent)
    Application.put_env(:foundation_agent, :door, door)
    Application.put_env(:foundation_agent, :agent_id, "overhead")
    {:ok, _} = Application.ensure_all_started(:foundation_agent)
    if label != "gone", do: wait()
    FoundationAgent.register("worker")

    for {name, call} <- calls() do
      {label, name, for(_ <- 1..@rounds, do: one_round(call)) |> Enum.sort() |> Enum.at(div(@rounds, 2))}
    end
  end

  defp calls do
    [
      {"emit_event",
       fn -> FoundationAgent.emit_event([:a, :event], %{count: 1}, %{user: 7, dedup_key: "k"}) end},
      {"emit_once_per", fn -> FoundationAgent.emit_once_per("once", 10_000, %{}, %{dedup_key: "k"}) end},
      {"start_span + end_span",
       fn -> FoundationAgent.start_span("s", %{a: 1}) && FoundationAgent.end_span() end},
      {"with_context", fn -> FoundationAgent.with_context(%{request_id: "r"}, fn -> :ok end) end},
      {"get_context", fn -> FoundationAgent.get_context() end},
      {"enabled?", fn -> FoundationAgent.enabled?(:some_flag) end}
    ]
  end

  defp one_round(call) do
    started = System.monotonic_time(:nanosecond)
    for _ <- 1..@calls, do: call.()
    taken = div(System.monotonic_time(:nanosecond) - started, @calls)
    # Between rounds the queue may empty, where it can: a full one is cheaper, for nothing is put into it.
    FoundationAgent.flush(500)
    taken
  end

  defp wait, do: unless(FoundationAgent.stats().connected, do: Process.sleep(10) && wait())

  def slow do
    path = Path.join(System.tmp_dir!(), "slow#{System.pid()}.sock")
    {:ok, listener} = :gen_tcp.listen(0, [:binary, packet: :http_bin, active: false, ifaddr: {:local, path}])
    spawn(fn -> accept(listener) end)
    path
  end

  defp accept(listener) do
    {:ok, socket} = :gen_tcp.accept(listener)

    :ok =
      :gen_tcp.controlling_process(
        socket,
        spawn(fn -> Process.sleep(5) && serve(socket, 0, "202 Accepted") end)
      )

    accept(listener)
  end

  defp serve(socket, length, status) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_request, _, {:abs_path, "/v1/events"}, _}} -> serve(socket, 0, "202 Accepted")
      {:ok, {:http_request, _, _, _}} -> serve(socket, 0, "404 Not Found")
      {:ok, {:http_header, _, :"Content-Length", _, value}} -> serve(socket, String.to_integer(value), status)
      {:ok, {:http_header, _, _, _, _}} -> serve(socket, length, status)
      {:ok, :http_eoh} -> answer(socket, length, status)
      _ -> :gen_tcp.close(socket)
    end
  end

  defp answer(socket, length, status) do
    :inet.setopts(socket, packet: :raw)
    if length > 0, do: {:ok, _} = :gen_tcp.recv(socket, length)
    Process.sleep(50)
    :ok = :gen_tcp.send(socket, "HTTP/1.1 #{status}\r\ncontent-length: 2\r\n\r\n{}")
    :inet.setopts(socket, packet: :http_bin)
    serve(socket, 0, status)
  end
end

Logger.configure(level: :error)
up = System.get_env("FOUNDATION_SOCKET")

results =
  if(up, do: Overhead.run("up", up), else: []) ++
    Overhead.run("slow", Overhead.slow()) ++ Overhead.run("gone", "/nonexistent.sock")

by_call = Enum.group_by(results, &elem(&1, 1), &{elem(&1, 0), elem(&1, 2)})

for {call, figures} <- by_call,
    do:
      IO.puts(
        "#{String.pad_trailing(call, 24)} #{Enum.map_join(figures, "  ", fn {label, ns} -> "#{label} #{ns}" end)}"
      )
