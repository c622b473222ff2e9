%% A private RabbitMQ server evaluates this file when it has booted. It then answers expressions that arrive at a socket
%% in the server's directory, one per connection. A query by rabbitmqctl takes a second, because it starts a virtual
%% machine of its own; the same query here takes milliseconds.
{ok, [[Path]]} = init:get_argument(door),

Evaluate = fun(Text) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text)),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, []),
    Value
end,

Answer = fun(Socket) ->
    {ok, Text} = gen_tcp:recv(Socket, 0),
    Reply = try io_lib:format("ok ~0tp", [Evaluate(Text)])
            catch Class:Reason -> io_lib:format("error ~0tp", [{Class, Reason}])
            end,
    gen_tcp:send(Socket, unicode:characters_to_binary(Reply)),
    gen_tcp:close(Socket)
end,

Open = fun() ->
    %% A server that was killed leaves its socket behind.
    _ = file:delete(Path),
    {ok, Listener} = gen_tcp:listen(0, [{ifaddr, {local, Path}}, binary, {packet, 4}, {active, false}]),
    Accept = fun Accept() ->
        {ok, Socket} = gen_tcp:accept(Listener),
        Answering = spawn(fun() -> receive go -> Answer(Socket) end end),
        _ = gen_tcp:controlling_process(Socket, Answering),
        Answering ! go,
        Accept()
    end,
    Accept()
end,

spawn(Open).
