defmodule FoundationAgent.Telemetry do
  @moduledoc """
  Forwards events of `:telemetry`, where the application has it:

      FoundationAgent.Telemetry.attach([[:my_app, :repo, :query], [:phoenix, :endpoint, :stop]],
        response_time: [[:phoenix, :endpoint, :stop]])

  Those of `:response_time` also feed the vital `response_time_seconds` by their measurement `duration`.
  """

  @compile {:no_warn_undefined, :telemetry}
  @id "foundation-agent"

  @doc "Begins to forward."
  @spec attach([[atom()]], keyword()) :: :ok | {:error, :already_exists | :no_telemetry}
  def attach(events, options \\ []) do
    if Code.ensure_loaded?(:telemetry) do
      :telemetry.attach_many(@id, events, &__MODULE__.handle/4, %{
        response_time: options[:response_time] || []
      })
    else
      {:error, :no_telemetry}
    end
  end

  @doc "Stops it."
  @spec detach() :: :ok | {:error, :not_found | :no_telemetry}
  def detach,
    do: if(Code.ensure_loaded?(:telemetry), do: :telemetry.detach(@id), else: {:error, :no_telemetry})

  @doc false
  def handle(name, measurements, metadata, config) do
    case measurements do
      %{duration: duration} when is_integer(duration) ->
        if name in config.response_time, do: FoundationAgent.took_response(duration)

      _ ->
        :ok
    end

    FoundationAgent.emit_event(name, measurements, metadata)
  end
end
