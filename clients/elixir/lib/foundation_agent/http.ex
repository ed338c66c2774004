defmodule FoundationAgent.HTTP do
  @moduledoc """
  HTTP/1.1 over a unix socket or loopback TCP, in the calling process. Heads are parsed by the runtime's own
  decoder (`:erlang.decode_packet/3`, behind `packet: :http_bin`). A timeout bounds the whole exchange.
  """

  alias FoundationAgent.Config

  @type conn :: :gen_tcp.socket()
  @type response :: {status :: pos_integer(), headers :: %{String.t() => String.t()}, body :: binary()}

  # No answer of the agent comes near it.
  @max_body 32 * 1024 * 1024

  @doc "Opens a connection."
  @spec connect(Config.address(), timeout()) :: {:ok, conn()} | {:error, term()}
  def connect({:local, path}, timeout), do: open({:local, path}, 0, [:local], timeout)
  def connect({host, port}, timeout), do: open(host, port, [nodelay: true], timeout)

  defp open(address, port, options, timeout) do
    options = options ++ [:binary, active: false, send_timeout: timeout, send_timeout_close: true]
    :gen_tcp.connect(address, port, options, timeout)
  end

  @doc "Closes a connection."
  @spec close(conn()) :: :ok
  def close(conn), do: :gen_tcp.close(conn)

  @doc "One request over a connection of its own."
  @spec call(Config.address(), String.t(), String.t(), [{String.t(), String.t()}], iodata(), timeout()) ::
          {:ok, response()} | {:error, term()}
  def call(address, method, path, headers, body, timeout) do
    with {:ok, conn} <- connect(address, timeout) do
      try do
        request(conn, method, path, [{"connection", "close"} | headers], body, timeout)
      after
        close(conn)
      end
    end
  end

  @doc "One request over an open connection. After an error, close it: what is on the way is unknown."
  @spec request(conn(), String.t(), String.t(), [{String.t(), String.t()}], iodata(), timeout()) ::
          {:ok, response()} | {:error, term()}
  def request(conn, method, path, headers, body, timeout) do
    deadline = System.monotonic_time(:millisecond) + timeout
    headers = [{"host", "localhost"}, {"content-length", Integer.to_string(IO.iodata_length(body))} | headers]
    head = [method, ?\s, path, " HTTP/1.1\r\n", for({k, v} <- headers, do: [k, ": ", v, "\r\n"]), "\r\n"]

    with :ok <- :gen_tcp.send(conn, [head, body]),
         :ok <- :inet.setopts(conn, packet: :http_bin),
         {:ok, {:http_response, _, status, _}} <- recv(conn, 0, deadline),
         {:ok, headers} <- headers(conn, %{}, deadline),
         {:ok, body} <- body(conn, status, headers, deadline) do
      {:ok, {status, headers, body}}
    else
      {:ok, other} -> {:error, {:not_http, other}}
      {:error, reason} -> {:error, reason}
    end
  end

  @doc "Whether the connection may be used for another request."
  @spec keep?(response()) :: boolean()
  def keep?({_, headers, _}), do: String.downcase(Map.get(headers, "connection", "")) != "close"

  defp headers(conn, done, deadline) do
    case recv(conn, 0, deadline) do
      {:ok, :http_eoh} -> {:ok, done}
      {:ok, {:http_header, _, name, _, value}} -> headers(conn, Map.put(done, name(name), value), deadline)
      {:ok, other} -> {:error, {:not_http, other}}
      {:error, reason} -> {:error, reason}
    end
  end

  defp name(name), do: name |> to_string() |> String.downcase()

  defp body(_, status, _, _) when status in [204, 304], do: {:ok, ""}
  defp body(conn, _, %{"transfer-encoding" => "chunked"}, deadline), do: chunks(conn, [], deadline)

  defp body(conn, _, %{"content-length" => length}, deadline) do
    :ok = :inet.setopts(conn, packet: :raw)
    exactly(conn, String.to_integer(length), deadline)
  end

  defp body(_, _, _, _), do: {:error, :length_required}

  defp chunks(conn, done, deadline) do
    with :ok <- :inet.setopts(conn, packet: :line),
         {:ok, line} <- recv(conn, 0, deadline),
         {size, _} <- Integer.parse(line, 16),
         :ok <- :inet.setopts(conn, packet: :raw),
         {:ok, chunk} <- exactly(conn, size + 2, deadline) do
      chunk = binary_part(chunk, 0, size)
      if size == 0, do: {:ok, IO.iodata_to_binary(done)}, else: chunks(conn, [done, chunk], deadline)
    else
      :error -> {:error, :bad_chunk}
      {:error, reason} -> {:error, reason}
    end
  end

  defp exactly(_, 0, _), do: {:ok, ""}
  defp exactly(_, size, _) when size > @max_body, do: {:error, :too_large}
  defp exactly(conn, size, deadline), do: recv(conn, size, deadline)

  defp recv(conn, size, deadline) do
    :gen_tcp.recv(conn, size, max(deadline - System.monotonic_time(:millisecond), 0))
  end
end
