defmodule FoundationAgent.LogHandler do
  @moduledoc """
  A `:logger` handler that sends log records, with their metadata, the trace they were written in and the error
  context, by OTLP:

      FoundationAgent.LogHandler.attach(level: :info)
  """

  alias FoundationAgent.{JSON, LogFilter, Span}
  alias FoundationAgent.Sender.OTLP

  @id :foundation_agent

  @severities %{debug: 5, info: 9, notice: 10, warning: 13, error: 17, critical: 18, alert: 19, emergency: 21}

  # What the runtime itself keeps in metadata, and what has a place of its own in a record.
  @own [:time, :gl, :pid, :mfa, :file, :line, :domain, :report_cb, :erl_level, :ansi_color, :crash_reason] ++
         [
           :trace_id,
           :span_id,
           :error_context,
           :error_logger,
           :logger_formatter,
           :application,
           :initial_call,
           :function,
           :module
         ]

  @doc "Begins to send log records. Option: `:level` (`:info`)."
  @spec attach(keyword()) :: :ok | {:error, term()}
  def attach(options \\ []), do: :logger.add_handler(@id, __MODULE__, %{level: options[:level] || :info})

  @doc "Stops it."
  @spec detach() :: :ok | {:error, term()}
  def detach, do: :logger.remove_handler(@id)

  @doc false
  def adding_handler(config), do: {:ok, config}

  @doc false
  # The client's own words are left to the other handlers: a complaint about sending must not be sent.
  def log(%{meta: %{domain: [:foundation_agent | _]}}, _), do: :ok

  def log(%{level: level, msg: message, meta: meta}, _) do
    meta = LogFilter.enrich(meta)
    attributes = Map.merge(context(meta), attributes(meta))

    OTLP.put(
      :log,
      JSON.object([
        {"timeUnixNano", Integer.to_string(time(meta))},
        {"severityNumber", Map.fetch!(@severities, level)},
        {"severityText", level |> Atom.to_string() |> String.upcase()},
        {"body", OTLP.value(text(message, meta))},
        {"attributes", {:raw, OTLP.attributes(attributes)}},
        {"traceId", meta[:trace_id]},
        {"spanId", meta[:span_id]}
      ])
    )
  end

  defp time(%{time: microseconds}), do: microseconds * 1_000
  defp time(_), do: System.os_time(:nanosecond)

  defp context(meta),
    do: for({key, value} <- meta[:error_context] || %{}, into: %{}, do: {"error_context.#{key}", value})

  defp attributes(meta) do
    context = meta[:error_context] || %{}

    for(
      {key, value} <- meta,
      key not in @own,
      not is_map_key(context, key),
      into: %{},
      do: {to_string(key), value}
    )
    |> put("code.function.name", function(meta[:mfa]))
    |> put("code.file.path", meta[:file] && to_string(meta[:file]))
    |> put("code.line.number", meta[:line])
    |> put("foundation.process", meta[:pid] && Span.process(meta[:pid]))
    |> crash(meta[:crash_reason])
  end

  defp put(attributes, _, nil), do: attributes
  defp put(attributes, key, value), do: Map.put(attributes, key, value)

  defp function({module, function, arity}), do: Exception.format_mfa(module, function, arity)
  defp function(_), do: nil

  defp crash(attributes, {%{__exception__: true} = exception, stacktrace}) do
    Map.merge(attributes, %{
      "exception.type" => inspect(exception.__struct__),
      "exception.message" => Exception.message(exception),
      "exception.stacktrace" => if(is_list(stacktrace), do: Exception.format_stacktrace(stacktrace), else: "")
    })
  end

  defp crash(attributes, {reason, _}), do: Map.put(attributes, "exception.message", inspect(reason))
  defp crash(attributes, _), do: attributes

  defp text({:string, text}, _), do: IO.chardata_to_string(text)

  defp text({:report, report}, %{report_cb: callback}) when is_function(callback, 1),
    do: formatted(callback.(report))

  defp text({:report, report}, %{report_cb: callback}) when is_function(callback, 2) do
    IO.chardata_to_string(callback.(report, %{depth: 30, chars_limit: 8_000, single_line: false}))
  end

  defp text({:report, report}, _), do: inspect(report)
  defp text({format, arguments}, _), do: formatted({format, arguments})

  defp formatted({format, arguments}), do: format |> :io_lib.format(arguments) |> IO.chardata_to_string()
end
