defmodule FoundationAgent.LogFilter do
  @moduledoc """
  Gives every log event of the application the error context and the trace of the process that wrote it, as
  metadata: `:trace_id`, `:span_id`, `:error_context`, and each key of the context that is an atom. The record's own
  metadata win. All handlers see them, so `config :logger, :console, metadata: [:request_id]` prints one.

  A primary filter of `:logger`, on unless `logger_metadata: false`.
  """

  alias FoundationAgent.{Contexts, Spans}

  @id :foundation_agent

  @doc "Installs the filter."
  @spec add() :: :ok | {:error, term()}
  def add, do: :logger.add_primary_filter(@id, {&__MODULE__.filter/2, []})

  @doc "Removes the filter."
  @spec remove() :: :ok | {:error, term()}
  def remove, do: :logger.remove_primary_filter(@id)

  @doc false
  @spec filter(:logger.log_event(), term()) :: :logger.filter_return()
  def filter(%{meta: meta} = event, _), do: %{event | meta: enrich(meta)}

  @doc "Metadata with those of the process that they name, the caller where they name none."
  @spec enrich(map()) :: map()
  def enrich(meta) do
    pid = Map.get(meta, :pid, self())
    context = Contexts.get(pid)

    meta
    |> with_trace(Spans.current_ids(pid))
    |> with_context(context)
  end

  defp with_trace(meta, nil), do: meta
  defp with_trace(meta, {trace_id, span_id}), do: Map.merge(%{trace_id: trace_id, span_id: span_id}, meta)

  defp with_context(meta, context) when context == %{}, do: meta

  defp with_context(meta, context) do
    for({key, value} <- context, is_atom(key), into: %{error_context: context}, do: {key, value})
    |> Map.merge(meta)
  end
end
