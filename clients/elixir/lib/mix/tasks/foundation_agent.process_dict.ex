defmodule Mix.Tasks.FoundationAgent.ProcessDict do
  @shortdoc "Finds uses of the process dictionary"

  @moduledoc """
  Finds uses of the process dictionary in source files, by the compiler's own parsers: `Code.string_to_quoted/2`
  for Elixir, `:epp` for Erlang.

      mix foundation_agent.process_dict                        # lib and src (apps/*/lib, apps/*/src in an umbrella)
      mix foundation_agent.process_dict lib test --allow .process_dict_allow

  Exits with 1 where there is a use that the allow-list does not have, or where a file cannot be parsed.

  ## The allow-list

  One entry a line: a file, or a file and a function of it; `#` begins a comment, which should say why. An entry that
  allows nothing any more is an error too, so that the list only shrinks.

      lib/my_app/legacy.ex                    # goes with stage 5
      lib/my_app/seed.ex MyApp.Seed.init/1    # rand's seed
  """

  use Mix.Task

  alias FoundationAgent.ProcessDict

  @impl true
  def run(arguments) do
    {options, paths} = OptionParser.parse!(arguments, strict: [allow: :string])
    allowed = if file = options[:allow], do: ProcessDict.Allow.read!(file), else: []

    {found, errors} = paths |> files() |> Enum.map(&ProcessDict.scan/1) |> collect()
    {uses, unused} = ProcessDict.Allow.apply_to(allowed, found)

    for use <- uses, do: Mix.shell().error("#{use.file}:#{use.line}: #{use.call} in #{use.function}")
    for error <- errors, do: Mix.shell().error(error)
    for entry <- unused, do: Mix.shell().error("#{options[:allow]}: #{entry} allows nothing: remove it")

    if uses ++ errors ++ unused == [] do
      Mix.shell().info(
        "No use of the process dictionary" <>
          if(allowed == [], do: ".", else: " beyond the #{length(allowed)} allowed.")
      )
    else
      Mix.raise(
        "#{length(uses)} uses of the process dictionary, #{length(errors)} unreadable files, #{length(unused)} idle entries of the allow-list"
      )
    end
  end

  defp collect(results) do
    {for({:ok, uses} <- results, use <- uses, do: use), for({:error, error} <- results, do: error)}
  end

  defp files([]) do
    ~w(lib src apps/*/lib apps/*/src) |> Enum.flat_map(&Path.wildcard/1) |> files()
  end

  defp files(paths) do
    Enum.flat_map(paths, fn path ->
      cond do
        File.dir?(path) -> path |> Path.join("**/*.{ex,exs,erl}") |> Path.wildcard()
        File.regular?(path) -> [path]
        true -> Mix.raise("#{path}: no such file or folder")
      end
    end)
  end
end
