defmodule FoundationAgent.JSONTest do
  use ExUnit.Case, async: true
  alias FoundationAgent.JSON

  test "what is encoded decodes to itself" do
    for seed <- 1..500 do
      :rand.seed(:exsss, {seed, 1, 2})
      value = term(4)
      assert {:ok, ^value} = value |> JSON.encode() |> IO.iodata_to_binary() |> JSON.decode()
    end
  end

  test "texts of the standard" do
    assert {:ok, %{"a" => [1, -2.5, 1.0e3, 1.5e-2, true, false, nil, "é😀\n/"]}} =
             JSON.decode(~S( { "a" : [1, -2.5, 1e3, 1.5E-2, true, false, null, "\u00e9\ud83d\ude00\n\/"] } ))

    assert {:ok, %{}} = JSON.decode("{}")
    assert {:ok, []} = JSON.decode("[ ]")
    assert {:ok, "\uFFFD"} = JSON.decode(~S("\ud800"))
  end

  test "broken texts are told, whatever they are" do
    for text <- [
          "",
          "{",
          "[1,",
          "[1 2]",
          ~s({"a"}),
          ~s({"a":}),
          ~s({,}),
          ~s("),
          "01",
          "1.",
          "tru",
          "nul",
          "[1]x",
          ~S("\x"),
          ~S("\u12"),
          "1e999",
          "{1:2}",
          ~s({"a":1,})
        ] do
      assert {:error, :invalid_json} = JSON.decode(text), text
    end
  end

  defp term(0),
    do: Enum.random([nil, true, false, :rand.uniform(1_000_000) - 500_000, :rand.normal() * 1.0e10, text()])

  defp term(depth),
    do:
      Enum.random([
        term(0),
        for(_ <- 1..3, do: term(depth - 1)),
        Map.new(1..3, fn _ -> {text(), term(depth - 1)} end)
      ])

  defp text,
    do:
      for(
        _ <- 1..:rand.uniform(6),
        into: "",
        do: <<Enum.random([?a, ?", ?\\, ?\n, 0, 0x1F, 0x7F, ?é, 0x2028, 0x1F600])::utf8>>
      )
end
