ExUnit.start(capture_log: true, assert_receive_timeout: 10_000)

unless System.get_env("FOUNDATION_AGENT_BINARY") do
  IO.puts(
    "FOUNDATION_AGENT_BINARY is not set: tests against the agent are left out (make test-elixir builds and names it)"
  )

  ExUnit.configure(exclude: [:agent])
end
