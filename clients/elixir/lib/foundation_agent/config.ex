defmodule FoundationAgent.Config do
  @moduledoc """
  What can be set, under `config :foundation_agent`. All of it has a default; the README lists it.

  Read once, when the application starts.
  """

  @enforce_keys [:agent_id, :door, :otlp]
  defstruct [
    :agent_id,
    :door,
    :otlp,
    labels: %{},
    metadata: %{},
    resource: %{},
    queue_bytes: 8 * 1024 * 1024,
    batch_delay: 20,
    poll_interval: 1_000,
    heartbeat_interval: 10_000,
    call_timeout: 1_000,
    flag_timeout: 100,
    flag_ttl: 30_000,
    logger_metadata: true
  ]

  @typedoc "Where a socket is: the path of a unix socket, or host and port."
  @type address :: {:local, Path.t()} | {charlist(), :inet.port_number()}

  @typedoc "Times are in milliseconds."
  @type t :: %__MODULE__{
          agent_id: String.t(),
          door: address(),
          otlp: address(),
          labels: %{optional(String.t() | atom()) => String.t()},
          metadata: map(),
          resource: map(),
          queue_bytes: pos_integer(),
          batch_delay: non_neg_integer(),
          poll_interval: pos_integer(),
          heartbeat_interval: pos_integer(),
          call_timeout: pos_integer(),
          flag_timeout: pos_integer(),
          flag_ttl: pos_integer(),
          logger_metadata: boolean()
        }

  @key {FoundationAgent, :config}
  @numbers [
    :queue_bytes,
    :batch_delay,
    :poll_interval,
    :heartbeat_interval,
    :call_timeout,
    :flag_timeout,
    :flag_ttl
  ]

  @doc "The configuration that was loaded."
  @spec get() :: t()
  def get, do: :persistent_term.get(@key)

  @doc false
  @spec load() :: t()
  def load do
    config = Application.get_all_env(:foundation_agent) |> Keyword.drop([:included_applications]) |> new()
    :persistent_term.put(@key, config)
    config
  end

  @doc "Checks options. Raises `ArgumentError`, which names the option, its value and what is allowed."
  @spec new(keyword()) :: t()
  def new(options) do
    defaults = [
      agent_id: default_agent_id(),
      door: System.get_env("FOUNDATION_SOCKET", "./var/run/app.sock"),
      otlp: System.get_env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    ]

    options = Keyword.merge(defaults, options)
    Enum.each(options, &check/1)

    options =
      options
      |> Keyword.update!(:door, &address/1)
      |> Keyword.update!(:otlp, &address/1)
      |> Keyword.update(:resource, %{}, &Map.new(&1, fn {k, v} -> {to_string(k), v} end))

    config = struct!(__MODULE__, options)
    %{config | resource: Map.put_new(config.resource, "service.name", config.agent_id)}
  end

  defp default_agent_id do
    case node() do
      :nonode@nohost -> "beam-" <> System.pid()
      node -> Atom.to_string(node)
    end
  end

  defp check({key, value}) when key in [:agent_id, :door, :otlp] do
    unless is_binary(value) and value != "", do: wrong(key, value, "a text that is not empty")
  end

  defp check({key, value}) when key in @numbers do
    unless is_integer(value) and value >= 0, do: wrong(key, value, "a whole number, 0 or more")
  end

  defp check({key, value}) when key in [:labels, :metadata, :resource] do
    unless is_map(value), do: wrong(key, value, "a map")
  end

  defp check({:logger_metadata, value}) do
    unless is_boolean(value), do: wrong(:logger_metadata, value, "true or false")
  end

  defp check({key, value}), do: wrong(key, value, "no such option")

  defp address("http://" <> _ = url) do
    uri = URI.parse(url)
    {String.to_charlist(uri.host), uri.port}
  end

  defp address("unix:" <> path), do: {:local, path}
  defp address(path), do: {:local, path}

  @spec wrong(atom(), term(), String.t()) :: no_return()
  defp wrong(key, value, allowed) do
    raise ArgumentError, "config :foundation_agent, #{key}: #{inspect(value)} is not allowed: #{allowed}"
  end
end
