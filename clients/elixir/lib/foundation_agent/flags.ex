defmodule FoundationAgent.Flags do
  @moduledoc """
  Feature flags by OFREP, from a local cache that works when the agent is away. `FoundationAgent.Link` keeps
  it fresh (each second, with an ETag); reading it is one look into ETS.
  """

  alias FoundationAgent.{Config, HTTP, JSON, Link}

  @table __MODULE__
  # Targeting keys that are remembered; beyond, all are forgotten and asked for again.
  @max_ids 10_000

  @doc false
  def create_table, do: :ets.new(@table, [:set, :public, :named_table, read_concurrency: true])

  @doc "Whether a boolean flag is on. `default` where it is not known."
  @spec enabled?(atom() | String.t(), boolean()) :: boolean()
  def enabled?(flag, default \\ false) do
    case :ets.lookup(@table, to_string(flag)) do
      [{_, value}] when is_boolean(value) -> value
      _ -> default
    end
  end

  @doc """
  Whether a boolean flag is on for one id (the targeting key of percentages and rules). The first question
  about an id asks the agent, for `flag_timeout` at most; then the cache answers for `flag_ttl`, or until a
  flag changes, and beyond that while the agent is away. Else it is as `enabled?/2` says.
  """
  @spec enabled_for_id?(atom() | String.t(), term(), boolean()) :: boolean()
  def enabled_for_id?(flag, id, default \\ false) do
    key = {to_string(flag), to_string(id)}
    now = System.monotonic_time(:millisecond)

    case :ets.lookup(@table, key) do
      [{_, value, generation, until}] ->
        if Link.up?() and (until < now or generation != etag()), do: ask(key, now, value), else: value

      [] ->
        if Link.up?(), do: ask(key, now, enabled?(flag, default)), else: enabled?(flag, default)
    end
  end

  @doc "Whether a flag of the migration lets the agent's path be taken. An agent that serves no flags is simply on."
  @spec gate(String.t()) :: boolean()
  def gate(flag) do
    case :ets.lookup(@table, flag) do
      [{_, value}] -> value == true
      [] -> :ets.member(@table, :unserved)
    end
  end

  @doc "The ETag of what is cached."
  @spec etag() :: String.t() | nil
  def etag do
    case :ets.lookup(@table, :etag) do
      [{_, etag}] -> etag
      [] -> nil
    end
  end

  @doc false
  @spec answered(HTTP.response()) :: :ok
  def answered({200, headers, body}) do
    with {:ok, %{"flags" => flags}} <- JSON.decode(body) do
      values = for %{"key" => key, "value" => value} <- flags, do: {key, value}
      # Insert first: a reader finds the old value or the new one, never none.
      :ets.insert(@table, [{:etag, headers["etag"]} | values])
      :ets.delete(@table, :unserved)
      known = MapSet.new(values, &elem(&1, 0))

      for {key, _} <- :ets.tab2list(@table) |> Enum.filter(&(tuple_size(&1) == 2)),
          is_binary(key),
          key not in known,
          do: :ets.delete(@table, key)
    end

    :ok
  end

  def answered({404, _, _}) do
    :ets.insert(@table, {:unserved, true})
    :ok
  end

  def answered(_), do: :ok

  defp ask({flag, id} = key, now, otherwise) do
    config = Config.get()
    body = JSON.encode(%{"context" => %{"targetingKey" => id}})
    path = "/ofrep/v1/evaluate/flags/" <> URI.encode(flag, &URI.char_unreserved?/1)

    case HTTP.call(
           config.door,
           "POST",
           path,
           [{"content-type", "application/json"}],
           body,
           config.flag_timeout
         ) do
      {:ok, {200, _, body}} ->
        value =
          with(
            {:ok, %{"value" => value}} when is_boolean(value) <- JSON.decode(body),
            do: value,
            else: (_ -> otherwise)
          )

        remember(key, value, now + config.flag_ttl)

      {:ok, _} ->
        remember(key, otherwise, now + config.flag_ttl)

      {:error, _} ->
        otherwise
    end
  end

  defp remember(key, value, until) do
    if :ets.info(@table, :size) > @max_ids, do: :ets.match_delete(@table, {:_, :_, :_, :_})
    :ets.insert(@table, {key, value, etag(), until})
    value
  end
end
