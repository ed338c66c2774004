defmodule FoundationAgent.Test.Backend do
  @moduledoc "An OTLP/HTTP backend in JSON, on a free port of loopback. Keeps what it is sent."

  use GenServer
  alias FoundationAgent.JSON

  def start_link(_ \\ []), do: GenServer.start_link(__MODULE__, nil)

  def port(backend), do: GenServer.call(backend, :port)

  @doc "Log records, each with its resource's attributes under `resource`."
  def logs(backend), do: GenServer.call(backend, :logs)
  def spans(backend), do: GenServer.call(backend, :spans)

  @doc "Log records that are events of that name."
  def events(backend, name), do: for(log <- logs(backend), log["eventName"] == name, do: log)

  @impl true
  def init(_) do
    {:ok, listener} =
      :gen_tcp.listen(0, [:binary, packet: :http_bin, active: false, ip: {127, 0, 0, 1}, reuseaddr: true])

    me = self()
    spawn_link(fn -> accept(listener, me) end)
    {:ok, port} = :inet.port(listener)
    {:ok, %{port: port, logs: [], spans: []}}
  end

  @impl true
  def handle_call(:port, _, state), do: {:reply, state.port, state}
  def handle_call(:logs, _, state), do: {:reply, Enum.reverse(state.logs), state}
  def handle_call(:spans, _, state), do: {:reply, Enum.reverse(state.spans), state}

  def handle_call({:put, path, body}, _, state) do
    {:ok, data} = JSON.decode(body)

    state =
      case path do
        "/v1/logs" -> %{state | logs: records(data, "resourceLogs", "scopeLogs", "logRecords") ++ state.logs}
        "/v1/traces" -> %{state | spans: records(data, "resourceSpans", "scopeSpans", "spans") ++ state.spans}
        _ -> state
      end

    {:reply, :ok, state}
  end

  defp records(data, resources, scopes, records) do
    for(
      r <- data[resources] || [],
      s <- r[scopes] || [],
      record <- s[records] || [],
      do: flat(record, r["resource"])
    )
    |> Enum.reverse()
  end

  defp flat(record, resource) do
    record
    |> Map.update("attributes", %{}, &attributes/1)
    |> Map.put("resource", attributes((resource || %{})["attributes"] || []))
  end

  def attributes(list), do: Map.new(list, &{&1["key"], value(&1["value"])})

  defp value(%{"intValue" => value}), do: if(is_binary(value), do: String.to_integer(value), else: value)
  defp value(%{"kvlistValue" => %{"values" => values}}), do: attributes(values)
  defp value(%{"arrayValue" => %{"values" => values}}), do: Enum.map(values, &value/1)
  defp value(value), do: value |> Map.values() |> List.first()

  defp accept(listener, owner) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn(fn -> receive(do: (:go -> serve(socket, owner))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, owner)
  end

  defp serve(socket, owner) do
    :inet.setopts(socket, packet: :http_bin)

    with {:ok, {:http_request, _, {:abs_path, path}, _}} <- :gen_tcp.recv(socket, 0),
         length when is_integer(length) <- content_length(socket, 0),
         :inet.setopts(socket, packet: :raw),
         {:ok, body} <- if(length == 0, do: {:ok, "{}"}, else: :gen_tcp.recv(socket, length)) do
      GenServer.call(owner, {:put, path, body}, 60_000)

      :gen_tcp.send(
        socket,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
      )

      serve(socket, owner)
    end
  end

  defp content_length(socket, length) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_header, _, :"Content-Length", _, value}} ->
        content_length(socket, String.to_integer(value))

      {:ok, {:http_header, _, _, _, _}} ->
        content_length(socket, length)

      {:ok, :http_eoh} ->
        length

      error ->
        error
    end
  end
end
