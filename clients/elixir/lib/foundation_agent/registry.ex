defmodule FoundationAgent.Registry do
  @moduledoc """
  Agents by id: processes of this BEAM that registered, and with the agent's path those of the whole host.

  What this BEAM registered is always in a table here, whatever path is taken: a rollback in the
  middle of work never makes an agent unknown. With the flag off the agent is still told (it records in
  shadow) and not asked.
  """

  alias FoundationAgent.{Agent, Config, HTTP, JSON, Link, Registrar, Route, Span}
  alias FoundationAgent.Sender.Door

  @table __MODULE__

  # A row: {id, pid, metadata, labels}

  @doc false
  def create_table, do: :ets.new(@table, [:ordered_set, :public, :named_table, read_concurrency: true])

  @doc "Path of an agent at the door."
  @spec path(String.t()) :: String.t()
  def path(id), do: "/v1/agents/" <> URI.encode(id, &URI.char_unreserved?/1)

  @doc "Registers a process. It is unregistered when it ends."
  @spec register(atom() | String.t(), pid(), map(), map()) ::
          :ok | {:error, :already_registered | :reserved | :not_alive | {String.t(), String.t()}}
  def register(id, pid, metadata, labels) do
    Route.timed(:registry, :registry, fn path ->
      id = to_string(id)

      with :ok <- Registrar.register({id, pid, metadata, labels}) do
        case tell("PUT", path(id), body({id, pid, metadata, labels})) do
          {:refused, status, error} when status in [403, 409, 422, 429] and path == :agent ->
            Registrar.unregister(id)
            {:error, error}

          # Away, or busy: the registrar tells when it is back.
          _ ->
            :ok
        end
      end
    end)
  end

  @doc "Says goodbye for a process that this BEAM registered."
  @spec unregister(atom() | String.t()) :: :ok | {:error, :not_found}
  def unregister(id) do
    Route.timed(:registry, :registry, fn _ ->
      id = to_string(id)

      with :ok <- Registrar.unregister(id) do
        if tell("DELETE", path(id), "{}") == :away, do: Door.call("DELETE", path(id), "{}")
        :ok
      end
    end)
  end

  @doc "One agent."
  @spec get(atom() | String.t()) :: {:ok, Agent.t()} | {:error, :not_found}
  def get(id) do
    Route.timed(:registry, :registry, fn path ->
      id = to_string(id)
      local = local(id)

      case path == :agent && call("GET", path(id), "") do
        {:ok, {200, _, body}} -> body |> decode() |> agent() |> believed(local)
        _ -> if local, do: {:ok, local}, else: {:error, :not_found}
      end
    end)
  end

  # Of its own processes this BEAM knows better: one that is not in its table has just ended.
  defp believed(%{os_pid: os_pid, id: id} = agent, local) do
    cond do
      local -> {:ok, %{agent | pid: local.pid}}
      os_pid == os_pid() and id != Config.get().agent_id -> {:error, :not_found}
      true -> {:ok, agent}
    end
  end

  @doc "All agents, in order of their ids."
  @spec list() :: [Agent.t()]
  def list do
    Route.timed(:registry, :registry, fn path ->
      local = Map.new(locals(), &{&1.id, &1})

      case path == :agent && pages(nil, []) do
        {:ok, agents} ->
          believed =
            for agent <- agents, {:ok, agent} <- [believed(agent, local[agent.id])], do: {agent.id, agent}

          local |> Map.merge(Map.new(believed)) |> Map.values() |> Enum.sort_by(& &1.id)

        _ ->
          Enum.sort_by(Map.values(local), & &1.id)
      end
    end)
  end

  defp pages(after_id, done) do
    query = if after_id, do: "&after=" <> URI.encode(after_id, &URI.char_unreserved?/1), else: ""

    case call("GET", "/v1/agents?limit=1000" <> query, "") do
      {:ok, {200, _, body}} ->
        page = decode(body)
        done = done ++ Enum.map(page["agents"] || [], &agent/1)
        if page["next"], do: pages(page["next"], done), else: {:ok, done}

      _ ->
        :error
    end
  end

  @doc false
  @spec rows() :: [tuple()]
  def rows, do: :ets.tab2list(@table)

  @doc false
  @spec body(tuple()) :: iodata()
  def body({_, pid, metadata, labels}) do
    # No lease: the kernel tells of the BEAM's end, the BEAM of the process's.
    JSON.encode(%{
      "processes" => [Span.process(pid)],
      "metadata" => metadata,
      "labels" => labels,
      "lease" => "0s"
    })
  end

  defp locals, do: Enum.map(rows(), &from_row/1)

  defp local(id) do
    case :ets.lookup(@table, id) do
      [row] -> from_row(row)
      [] -> nil
    end
  end

  defp from_row({id, pid, metadata, labels}) do
    %Agent{
      id: id,
      pid: pid,
      os_pid: os_pid(),
      from: :local,
      metadata: metadata,
      labels: labels,
      processes: [Span.process(pid)]
    }
  end

  defp agent(json) do
    %Agent{
      id: json["id"],
      os_pid: json["pid"],
      from: :agent,
      state: json["state"],
      labels: json["labels"] || %{},
      metadata: json["metadata"] || %{},
      processes: json["processes"] || [],
      vitals: json["vitals"] || %{}
    }
  end

  defp os_pid, do: String.to_integer(System.pid())

  # The agent is told with the flag off, too: it records in shadow.
  defp tell(method, path, body) do
    case call(method, path, body) do
      {:ok, {status, _, _}} when status in 200..299 -> :ok
      {:ok, {status, _, body}} -> {:refused, status, error(body)}
      {:error, _} -> :away
    end
  end

  defp error(body) do
    error = decode(body)["error"] || %{}
    {error["code"] || "refused", error["message"] || body}
  end

  defp call(method, path, body) do
    config = Config.get()

    if Link.up?() do
      result =
        HTTP.call(
          config.door,
          method,
          path,
          [{"content-type", "application/json"}],
          body,
          config.call_timeout
        )

      if match?({:error, _}, result), do: Link.lost()
      result
    else
      {:error, :away}
    end
  end

  defp decode(body) do
    case JSON.decode(body) do
      {:ok, %{} = answer} -> answer
      _ -> %{}
    end
  end
end
