defmodule FoundationAgent.Application do
  @moduledoc """
  Starts the client. Tables belong to the top supervisor: whatever restarts below it, no caller finds them
  gone and nothing that is queued is lost.
  """

  use Application

  alias FoundationAgent.{Batches, Config, Contexts, Flags, Link, LogFilter, Once, Processes, Queue}
  alias FoundationAgent.{Registrar, Registry, Sender, Spans, Vitals}

  @impl true
  def start(_type, _args) do
    Config.load()
    Supervisor.start_link(__MODULE__.Tree, [], name: FoundationAgent.Supervisor)
  end

  @impl true
  def prep_stop(state) do
    LogFilter.remove()
    state
  end

  defmodule Tree do
    @moduledoc false
    use Supervisor

    @impl true
    def init(_) do
      config = Config.get()
      for owner <- [Spans, Contexts, Processes, Registry, Flags, Once, Batches], do: owner.create_table()
      for queue <- [:door, :otlp], do: Queue.create(queue, config.queue_bytes)
      Vitals.create()
      Link.create()
      if config.logger_metadata, do: LogFilter.add()

      # They end in the opposite order: the goodbye comes after all that was still to be sent.
      children = [
        Link,
        Supervisor.child_spec({Sender, Sender.Door}, id: Sender.Door),
        Supervisor.child_spec({Sender, Sender.OTLP}, id: Sender.OTLP),
        Processes,
        Batches,
        Once,
        Registrar
      ]

      Supervisor.init(children, strategy: :one_for_one, max_restarts: 100, max_seconds: 60)
    end
  end
end
