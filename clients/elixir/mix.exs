defmodule FoundationAgent.MixProject do
  use Mix.Project

  def project do
    [
      app: :foundation_agent,
      version: "0.1.0",
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: Mix.env() == :prod,
      description: "Client of foundation-agent: agents, events, spans, error context and flags",
      deps: []
    ]
  end

  def application do
    [mod: {FoundationAgent.Application, []}, extra_applications: [:logger, :crypto]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]
end
