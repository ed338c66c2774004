defmodule FoundationAgent.ProcessDict.ErlangSource do
  @moduledoc "Finds uses in Erlang: `get`, `put`, `erase` and `get_keys`, with `erlang:` or without, as calls and as `fun`s."

  alias FoundationAgent.ProcessDict

  @uses [get: 0, get: 1, put: 2, erase: 0, erase: 1, get_keys: 0, get_keys: 1]

  @doc "The uses in a file."
  @spec scan(Path.t()) :: {:ok, [ProcessDict.t()]} | {:error, String.t()}
  def scan(file) do
    case :epp.parse_file(String.to_charlist(file), [
           {:includes, ['include', Path.dirname(file) |> String.to_charlist()]}
         ]) do
      {:ok, forms} ->
        case for {:error, {line, module, reason}} <- forms,
                 do: "#{file}:#{:erl_anno.line(line)}: #{module.format_error(reason)}" do
          [] -> {:ok, uses(forms, file)}
          [first | _] -> {:error, first}
        end

      {:error, reason} ->
        {:error, "#{file}: #{:file.format_error(reason)}"}
    end
  end

  defp uses(forms, file) do
    [module] = for {:attribute, _, :module, module} <- forms, do: module
    own = for {:function, _, name, arity, _} <- forms, do: {name, arity}

    for {:function, _, name, arity, clauses} <- forms, {line, call} <- walk(clauses, own) do
      %ProcessDict{file: file, line: line, call: "erlang:#{call}", function: "#{module}:#{name}/#{arity}"}
    end
  end

  defp walk({:call, line, {:remote, _, {:atom, _, :erlang}, {:atom, _, name}}, arguments}, own) do
    found(line, {name, length(arguments)}) ++ walk(arguments, own)
  end

  defp walk({:call, line, {:atom, _, name}, arguments}, own) do
    call = {name, length(arguments)}
    if(call in own, do: [], else: found(line, call)) ++ walk(arguments, own)
  end

  defp walk({:fun, line, {:function, {:atom, _, :erlang}, {:atom, _, name}, {:integer, _, arity}}}, _),
    do: found(line, {name, arity})

  defp walk({:fun, line, {:function, name, arity}}, own),
    do: if({name, arity} in own, do: [], else: found(line, {name, arity}))

  defp walk(form, own) when is_tuple(form), do: form |> Tuple.to_list() |> walk(own)
  defp walk([first | rest], own), do: walk(first, own) ++ walk(rest, own)
  defp walk(_, _), do: []

  defp found(location, {name, _} = call),
    do: if(call in @uses, do: [{:erl_anno.line(location), name}], else: [])
end
