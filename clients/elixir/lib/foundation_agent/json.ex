defmodule FoundationAgent.JSON do
  @moduledoc """
  JSON (RFC 8259), since neither Elixir 1.14 nor OTP 25 has it and the client depends on nothing else.

  `encode/1` takes any term. What JSON has no word for (pids, references, tuples, functions, bytes that are
  no text) becomes its `inspect/1`: an event is not lost because of a pid in its metadata.
  """

  @doc "Encodes a term. `nil` values of a map are kept; use `object/1` to leave them out."
  @spec encode(term()) :: iodata()
  def encode(nil), do: "null"
  def encode(true), do: "true"
  def encode(false), do: "false"
  def encode(value) when is_atom(value), do: string(Atom.to_string(value))
  def encode(value) when is_binary(value), do: string(value)
  def encode(value) when is_integer(value), do: Integer.to_string(value)
  def encode(value) when is_float(value), do: Float.to_string(value)
  def encode([]), do: "[]"
  def encode([{key, _} | _] = list) when is_atom(key), do: encode_pairs(list)
  def encode([_ | _] = list), do: if(List.improper?(list), do: inspected(list), else: elements(list))

  def encode(%{__struct__: module} = value) when module in [Date, Time, DateTime, NaiveDateTime],
    do: string(module.to_iso8601(value))

  def encode(%{__struct__: _} = value), do: inspected(value)
  def encode(value) when is_map(value), do: members(Map.to_list(value))
  def encode(value), do: inspected(value)

  @doc "Encodes an object of the pairs whose value is not nil; `{:raw, iodata}` is JSON already."
  @spec object([{String.t(), term()}]) :: iodata()
  def object(pairs), do: members(for {_, value} = pair when value != nil <- pairs, do: pair)

  defp encode_pairs(list) do
    if Keyword.keyword?(list), do: members(list |> Map.new() |> Map.to_list()), else: elements(list)
  end

  defp elements([first | rest]), do: [?[, encode(first), Enum.map(rest, &[?,, encode(&1)]), ?]]

  defp members([]), do: "{}"
  defp members([first | rest]), do: [?{, member(first), Enum.map(rest, &[?,, member(&1)]), ?}]

  defp member({key, {:raw, json}}), do: [key(key), ?:, json]
  defp member({key, value}), do: [key(key), ?:, encode(value)]

  defp key(key) when is_binary(key), do: string(key)
  defp key(key) when is_atom(key), do: string(Atom.to_string(key))
  defp key(key), do: inspected(key)

  defp inspected(value), do: string(inspect(value, limit: 50, printable_limit: 1_000))

  defp string(value) do
    if String.valid?(value), do: [?", escape(value, value, 0, 0), ?"], else: inspected(value)
  end

  # Texts are mostly free of what must be escaped: whole stretches are cut out, none is copied.
  defp escape(<<byte, rest::binary>>, whole, start, length)
       when byte >= 0x20 and byte != ?" and byte != ?\\ do
    escape(rest, whole, start, length + 1)
  end

  defp escape(<<byte, rest::binary>>, whole, start, length) do
    [binary_part(whole, start, length), escaped(byte) | escape(rest, whole, start + length + 1, 0)]
  end

  defp escape(<<>>, whole, 0, _), do: [whole]
  defp escape(<<>>, whole, start, length), do: [binary_part(whole, start, length)]

  defp escaped(?"), do: "\\\""
  defp escaped(?\\), do: "\\\\"
  defp escaped(?\n), do: "\\n"
  defp escaped(?\r), do: "\\r"
  defp escaped(?\t), do: "\\t"
  defp escaped(byte), do: ["\\u00", byte |> Integer.to_string(16) |> String.pad_leading(2, "0")]

  @doc "Decodes a text. Objects become maps with text keys."
  @spec decode(binary()) :: {:ok, term()} | {:error, :invalid_json}
  def decode(text) do
    {value, rest} = value(skip(text))
    if skip(rest) == "", do: {:ok, value}, else: {:error, :invalid_json}
  catch
    :invalid_json -> {:error, :invalid_json}
  end

  defp value("null" <> rest), do: {nil, rest}
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("\"" <> rest), do: text(rest, [])
  defp value("[" <> rest), do: array(skip(rest), [])
  defp value("{" <> rest), do: members(skip(rest), %{})
  defp value(text), do: number(text)

  defp array("]" <> rest, []), do: {[], rest}

  defp array(text, done) do
    {value, rest} = value(text)

    case skip(rest) do
      "," <> rest -> array(skip(rest), [value | done])
      "]" <> rest -> {Enum.reverse([value | done]), rest}
      _ -> throw(:invalid_json)
    end
  end

  defp members("}" <> rest, done) when done == %{}, do: {done, rest}

  defp members("\"" <> rest, done) do
    {key, rest} = text(rest, [])

    with ":" <> rest <- skip(rest), {value, rest} = value(skip(rest)), done = Map.put(done, key, value) do
      case skip(rest) do
        "," <> rest -> members(skip(rest), done)
        "}" <> rest -> {done, rest}
        _ -> throw(:invalid_json)
      end
    else
      _ -> throw(:invalid_json)
    end
  end

  defp members(_, _), do: throw(:invalid_json)

  defp text(rest, done) do
    case :binary.match(rest, ["\"", "\\"]) do
      {at, 1} ->
        <<plain::binary-size(at), mark, rest::binary>> = rest
        if mark == ?", do: {IO.iodata_to_binary([done, plain]), rest}, else: escape_in(rest, [done, plain])

      :nomatch ->
        throw(:invalid_json)
    end
  end

  defp escape_in("u" <> <<hex::binary-size(4), rest::binary>>, done) do
    case {unit(hex), rest} do
      {high, "\\u" <> <<low_hex::binary-size(4), rest::binary>>} when high in 0xD800..0xDBFF ->
        low = unit(low_hex)
        text(rest, [done, character(0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00))])

      {unit, rest} ->
        text(rest, [done, character(unit)])
    end
  end

  defp escape_in(<<mark, rest::binary>>, done) do
    case mark do
      ?n -> text(rest, [done, ?\n])
      ?r -> text(rest, [done, ?\r])
      ?t -> text(rest, [done, ?\t])
      ?b -> text(rest, [done, ?\b])
      ?f -> text(rest, [done, ?\f])
      mark when mark in [?", ?\\, ?/] -> text(rest, [done, mark])
      _ -> throw(:invalid_json)
    end
  end

  defp escape_in(_, _), do: throw(:invalid_json)

  defp unit(hex) do
    case Integer.parse(hex, 16) do
      {unit, ""} -> unit
      _ -> throw(:invalid_json)
    end
  end

  # Half of a surrogate pair alone is no character.
  defp character(code) when code in 0xD800..0xDFFF or code not in 0..0x10FFFF, do: "\uFFFD"
  defp character(code), do: <<code::utf8>>

  defp number(text) do
    case Regex.run(~r/\A-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/, text) do
      [digits] -> {String.to_integer(digits), rest(text, digits)}
      [all, _] -> {float(all), rest(text, all)}
      [all, "", exponent] -> {float(String.replace(all, exponent, ".0" <> exponent)), rest(text, all)}
      [all, _, _] -> {float(all), rest(text, all)}
      nil -> throw(:invalid_json)
    end
  end

  defp float(text) do
    String.to_float(text)
  rescue
    ArgumentError -> throw(:invalid_json)
  end

  defp rest(text, taken), do: binary_part(text, byte_size(taken), byte_size(text) - byte_size(taken))

  defp skip(<<blank, rest::binary>>) when blank in [?\s, ?\t, ?\n, ?\r], do: skip(rest)
  defp skip(rest), do: rest
end
