defmodule FoundationAgent.Test.StubDoor do
  @moduledoc "An applications' door that answers `/v1/events` as a function says, and everything else with 404."

  @doc "Starts it; the function is given the lines and returns status, further headers and the JSON to answer."
  def start(fun) do
    path = Path.join(System.tmp_dir!(), "stub#{System.unique_integer([:positive])}-#{System.pid()}.sock")
    {:ok, listener} = :gen_tcp.listen(0, [:binary, packet: :http_bin, active: false, ifaddr: {:local, path}])
    pid = spawn_link(fn -> accept(listener, fun) end)
    :ok = :gen_tcp.controlling_process(listener, pid)
    ExUnit.Callbacks.on_exit(fn -> File.rm(path) end)
    path
  end

  defp accept(listener, fun) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn(fn -> receive(do: (:go -> serve(socket, fun))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, fun)
  end

  defp serve(socket, fun) do
    :inet.setopts(socket, packet: :http_bin)

    with {:ok, {:http_request, _, {:abs_path, path}, _}} <- :gen_tcp.recv(socket, 0),
         {:ok, length} <- length(socket, 0),
         :inet.setopts(socket, packet: :raw),
         {:ok, body} <- if(length == 0, do: {:ok, ""}, else: :gen_tcp.recv(socket, length)) do
      {status, headers, json} =
        if path == "/v1/events", do: fun.(String.split(body, "\n", trim: true)), else: {404, "", "{}"}

      # In chunks, as Go answers what it cannot measure beforehand.
      chunks = for <<chunk::binary-size(7) <- json>>, do: "7\r\n#{chunk}\r\n"
      rest = binary_part(json, 7 * length(chunks), rem(byte_size(json), 7))
      last = if rest == "", do: "", else: "#{byte_size(rest)}\r\n#{rest}\r\n"

      :gen_tcp.send(socket, [
        "HTTP/1.1 #{status} X\r\n#{headers}Transfer-Encoding: chunked\r\n\r\n",
        chunks,
        last,
        "0\r\n\r\n"
      ])

      serve(socket, fun)
    end
  end

  defp length(socket, length) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_header, _, :"Content-Length", _, value}} -> length(socket, String.to_integer(value))
      {:ok, {:http_header, _, _, _, _}} -> length(socket, length)
      {:ok, :http_eoh} -> {:ok, length}
      error -> error
    end
  end
end
