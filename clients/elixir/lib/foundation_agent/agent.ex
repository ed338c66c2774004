defmodule FoundationAgent.Agent do
  @moduledoc "A registered agent. `pid` is known where it is a process of this BEAM; `from` says who answered."

  @enforce_keys [:id, :from]
  defstruct [:id, :pid, :os_pid, :from, state: "up", labels: %{}, metadata: %{}, processes: [], vitals: %{}]

  @type t :: %__MODULE__{
          id: String.t(),
          pid: pid() | nil,
          os_pid: pos_integer() | nil,
          from: FoundationAgent.Route.path(),
          state: String.t(),
          labels: map(),
          metadata: map(),
          processes: [String.t()],
          vitals: map()
        }
end
