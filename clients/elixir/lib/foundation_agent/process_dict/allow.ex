defmodule FoundationAgent.ProcessDict.Allow do
  @moduledoc "The allow-list: files, or functions of files, that may use the process dictionary."

  alias FoundationAgent.ProcessDict

  @type entry :: String.t()

  @doc "Reads a list."
  @spec read!(Path.t()) :: [entry()]
  def read!(file) do
    file
    |> File.read!()
    |> String.split("\n")
    |> Enum.map(fn line -> line |> String.split("#") |> hd() |> String.split() |> Enum.join(" ") end)
    |> Enum.reject(&(&1 == ""))
  end

  @doc "The uses that no entry allows, and the entries that allow none."
  @spec apply_to([entry()], [ProcessDict.t()]) :: {[ProcessDict.t()], [entry()]}
  def apply_to(entries, uses) do
    {Enum.reject(uses, fn use -> Enum.any?(entries, &allows?(&1, use)) end),
     Enum.reject(entries, fn entry -> Enum.any?(uses, &allows?(entry, &1)) end)}
  end

  defp allows?(entry, use), do: entry == use.file or entry == "#{use.file} #{use.function}"
end
