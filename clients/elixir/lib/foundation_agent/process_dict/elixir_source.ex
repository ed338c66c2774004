defmodule FoundationAgent.ProcessDict.ElixirSource do
  @moduledoc """
  Finds uses in Elixir: calls (`Process.put(:k, 1)`, piped ones too), captures (`&Process.get/1`), `apply/3`,
  through `alias` and `import`, of `Process` and `:erlang`, and reads of another's (`Process.info(pid, :dictionary)`).
  Names made at run time (`module.put(…)`) are beyond any parser.
  """

  alias FoundationAgent.ProcessDict

  @uses %{
    Process => [:get, :put, :delete, :get_keys],
    :erlang => [:get, :put, :erase, :get_keys]
  }

  @doc "The uses in a file."
  @spec scan(Path.t()) :: {:ok, [ProcessDict.t()]} | {:error, String.t()}
  def scan(file) do
    case Code.string_to_quoted(File.read!(file), file: file, columns: false, emit_warnings: false) do
      {:ok, quoted} ->
        scope = %{file: file, modules: [], function: nil, aliases: %{[:Process] => Process}, imports: %{}}
        {uses, _} = walk(quoted, scope)
        {:ok, uses |> List.flatten() |> Enum.uniq() |> Enum.sort_by(& &1.line)}

      {:error, {meta, message, token}} ->
        {:error, "#{file}:#{meta[:line]}: #{text(message)}#{text(token)}"}
    end
  end

  defp text({a, b}), do: text(a) <> text(b)
  defp text(message), do: to_string(message)

  # Returns the uses and the scope that what follows in the same block sees.
  defp walk({:__block__, _, expressions}, scope), do: in_turn(expressions, scope)

  defp walk({:defmodule, _, [{:__aliases__, _, name} | body]}, scope) do
    {uses, _} = in_turn(body, %{scope | modules: scope.modules ++ name})
    {uses, scope}
  end

  defp walk({kind, _, [head | _] = arguments}, scope) when kind in [:def, :defp, :defmacro, :defmacrop] do
    {uses, _} = in_turn(arguments, %{scope | function: signature(head)})
    {uses, scope}
  end

  defp walk({:alias, _, [{:__aliases__, _, _} = target, [as: {:__aliases__, _, as}]]}, scope) do
    {[], put_alias(scope, as, module(target, scope))}
  end

  defp walk({:alias, _, [{:__aliases__, _, [_ | _] = name} = target | _]}, scope) do
    {[], put_alias(scope, [List.last(name)], module(target, scope))}
  end

  defp walk({:alias, _, [module, [as: {:__aliases__, _, as}]]}, scope) when is_atom(module) do
    {[], put_alias(scope, as, module)}
  end

  defp walk({:alias, _, [{{:., _, [{:__aliases__, _, base}, :{}]}, _, names}]}, scope) do
    scope =
      for {:__aliases__, _, name} <- names, reduce: scope do
        scope -> put_alias(scope, [List.last(name)], Module.concat(base ++ name))
      end

    {[], scope}
  end

  defp walk({:import, _, [target | options]}, scope) do
    case module(target, scope) do
      module when is_map_key(@uses, module) -> {[], put_in(scope.imports[module], imported(module, options))}
      _ -> {[], scope}
    end
  end

  # &Process.get/1
  defp walk({:/, meta, [{{:., _, [target, name]}, _, []}, arity]}, scope) when is_integer(arity) do
    {remote(target, name, arity, meta, scope), scope}
  end

  defp walk({:|>, _, [left, {call, meta, arguments}]}, scope) when is_list(arguments) do
    in_turn([left, {call, meta, [:piped | arguments]}], scope)
  end

  defp walk({{:., _, [target, name]}, meta, arguments}, scope) when is_atom(name) do
    uses = remote(target, name, arguments, meta, scope)
    {more, _} = in_turn([target | arguments], scope)
    {[uses, more], scope}
  end

  defp walk({:apply, meta, [target, name, arguments]}, scope) when is_atom(name) do
    {more, _} = in_turn(List.wrap(arguments), scope)
    {[remote(target, name, arguments, meta, scope), more], scope}
  end

  defp walk({name, meta, arguments}, scope) when is_atom(name) and is_list(arguments) do
    uses = for {module, names} <- scope.imports, name in names, do: use(module, name, meta, scope)
    {more, _} = in_turn(arguments, scope)
    {[uses, more], scope}
  end

  defp walk({left, right}, scope) do
    {uses, _} = in_turn([left, right], scope)
    {uses, scope}
  end

  defp walk(list, scope) when is_list(list) do
    {uses, _} = in_turn(list, scope)
    {uses, scope}
  end

  defp walk({call, _, arguments}, scope), do: in_turn([call | List.wrap(arguments)], scope)
  defp walk(_, scope), do: {[], scope}

  defp in_turn(expressions, scope) when is_list(expressions) do
    Enum.flat_map_reduce(expressions, scope, fn expression, scope ->
      {uses, scope} = walk(expression, scope)
      {List.wrap(uses), scope}
    end)
  end

  defp remote(target, name, arguments, meta, scope) do
    module = module(target, scope)

    cond do
      name in Map.get(@uses, module, []) ->
        [use(module, name, meta, scope)]

      name in [:info, :process_info] and module in [Process, :erlang] and dictionary?(arguments) ->
        [use(module, name, meta, scope)]

      true ->
        []
    end
  end

  defp dictionary?([_, item]), do: item == :dictionary or (is_list(item) and :dictionary in item)
  defp dictionary?(_), do: false

  defp module({:__aliases__, _, [:"Elixir" | name]}, _), do: Module.concat(name)

  defp module({:__aliases__, _, [first | rest] = name}, scope) when is_atom(first) do
    first_name = [first]

    case scope.aliases do
      %{^name => module} -> module
      %{^first_name => module} -> Module.concat([module | rest])
      _ -> Module.concat(name)
    end
  end

  defp module(module, _) when is_atom(module), do: module
  defp module(_, _), do: nil

  defp put_alias(scope, as, module), do: put_in(scope.aliases[as], module)

  defp imported(module, [[only: only]]) when is_list(only),
    do: Enum.filter(@uses[module], &Keyword.has_key?(only, &1))

  defp imported(module, [[except: except]]) when is_list(except),
    do: Enum.reject(@uses[module], &Keyword.has_key?(except, &1))

  defp imported(module, _), do: @uses[module]

  defp use(module, name, meta, scope) do
    %ProcessDict{
      file: scope.file,
      line: meta[:line] || 1,
      call: "#{inspect(module)}.#{name}",
      function: place(scope)
    }
  end

  defp place(%{modules: modules, function: function}) do
    case Enum.join([inspect_modules(modules), function] |> Enum.reject(&(&1 in [nil, ""])), ".") do
      "" -> "the file itself"
      place -> place
    end
  end

  defp inspect_modules([]), do: nil
  defp inspect_modules(modules), do: Enum.join(modules, ".")

  defp signature({:when, _, [head | _]}), do: signature(head)
  defp signature({name, _, arguments}) when is_atom(name), do: "#{name}/#{length(List.wrap(arguments))}"
  defp signature(_), do: nil
end
