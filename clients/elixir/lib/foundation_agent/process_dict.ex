defmodule FoundationAgent.ProcessDict do
  @moduledoc "Uses of the process dictionary in a source file; see `mix foundation_agent.process_dict`."

  alias FoundationAgent.ProcessDict.{ElixirSource, ErlangSource}

  @enforce_keys [:file, :line, :call, :function]
  defstruct @enforce_keys

  @type t :: %__MODULE__{file: Path.t(), line: pos_integer(), call: String.t(), function: String.t()}

  @doc "The uses in a file, by its extension."
  @spec scan(Path.t()) :: {:ok, [t()]} | {:error, String.t()}
  def scan(file) do
    case Path.extname(file) do
      ".erl" -> ErlangSource.scan(file)
      _ -> ElixirSource.scan(file)
    end
  end
end
