defmodule FoundationAgent.ProcessDictTest do
  use ExUnit.Case, async: true
  alias FoundationAgent.ProcessDict

  @moduletag :tmp_dir

  test "Elixir: every way to say it", %{tmp_dir: dir} do
    uses =
      scan(dir, "a.ex", ~S'''
      defmodule A do
        alias Process, as: P
        alias :erlang, as: Er
        def plain, do: Process.put(:k, 1)
        def piped(k), do: k |> Process.get()
        def captured, do: &Process.delete/1
        def aliased, do: P.get_keys()
        def erlang, do: :erlang.erase()
        def erlang_alias, do: Er.get(:k)
        def applied, do: apply(Process, :put, [:k, 1])
        def others(pid), do: Process.info(pid, :dictionary)
        def full, do: Elixir.Process.get(:k)
        def guarded(x) when is_atom(x), do: Enum.map([x], fn k -> Process.get(k, "#{Process.get(:in)}") end)
      end

      defmodule A.Imports do
        import Process, only: [put: 2]
        def imported, do: put(:a, 1)
      end
      ''')

    assert uses |> Enum.map(& &1.function) |> Enum.uniq() ==
             ~w(A.plain/0 A.piped/1 A.captured/0 A.aliased/0 A.erlang/0 A.erlang_alias/0 A.applied/0 A.others/1 A.full/0 A.guarded/1 A.Imports.imported/0)

    assert hd(uses) == %ProcessDict{
             file: Path.join(dir, "a.ex"),
             line: 4,
             call: "Process.put",
             function: "A.plain/0"
           }
  end

  test "Elixir: what only looks like it", %{tmp_dir: dir} do
    assert [] =
             scan(dir, "b.ex", ~S'''
             defmodule B do
               alias My.Process
               @moduledoc "Process.put(:k, 1)"
               def a(map), do: Process.put(map, 1)
               def b(map), do: Map.get(map, :k) |> Map.put(:a, 1)
               def get(k), do: get_in(k, [:a]) # Process.get(:k)
               def c, do: Elixir.Process.send_after(self(), "Process.get(:k)", 1)
               def d(pid), do: :erlang.process_info(pid, :memory)
             end
             ''')
  end

  test "Erlang", %{tmp_dir: dir} do
    uses =
      scan(dir, "c.erl", ~S'''
      -module(c).
      -export([a/0, b/0, get/1]).
      a() -> put(k, 1), X = erlang:erase(k), F = fun erlang:get/1, F(X).
      b() -> get(k).
      get(K) -> maps:get(K, #{}).
      ''')

    assert Enum.map(uses, &{&1.line, &1.call, &1.function}) == [
             {3, "erlang:put", "c:a/0"},
             {3, "erlang:erase", "c:a/0"},
             {3, "erlang:get", "c:a/0"}
           ]
  end

  test "the task: what is allowed, what is idle, what is broken", %{tmp_dir: dir} do
    Mix.shell(Mix.Shell.Process)

    file =
      write(
        dir,
        "lib/d.ex",
        "defmodule D do\n  def a, do: Process.get(:a)\n  def b, do: Process.get(:b)\nend"
      )

    task = Mix.Tasks.FoundationAgent.ProcessDict

    assert_raise Mix.Error, ~r/2 uses/, fn -> task.run([dir]) end
    assert_received {:mix_shell, :error, [text]}
    assert text =~ "d.ex:2: Process.get in D.a/0"

    allow = write(dir, "allow", "#{file} D.a/0 # soon\n\n# a comment\n#{file}   D.b/0\n")
    task.run([dir, "--allow", allow])
    assert_received {:mix_shell, :info, [_]}

    idle = write(dir, "idle", "#{file}\nlib/gone.ex\n")
    assert_raise Mix.Error, ~r/0 uses.*1 idle/, fn -> task.run([dir, "--allow", idle]) end

    write(dir, "lib/broken.ex", "defmodule (")
    write(dir, "lib/broken.erl", "-module(broken).\na( -> ok.")
    assert_raise Mix.Error, ~r/2 unreadable/, fn -> task.run([dir, "--allow", allow]) end
  end

  test "the client itself keeps nothing there" do
    Mix.shell(Mix.Shell.Process)
    Mix.Tasks.FoundationAgent.ProcessDict.run(["lib"])
    assert_received {:mix_shell, :info, [_]}
  end

  defp scan(dir, name, text) do
    {:ok, uses} = dir |> write(name, text) |> ProcessDict.scan()
    uses
  end

  defp write(dir, name, text) do
    path = Path.join(dir, name)
    File.mkdir_p!(Path.dirname(path))
    File.write!(path, text)
    path
  end
end
