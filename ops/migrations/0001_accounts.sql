-- Agents, their keys and their sessions: what the gateways read and write.

create table agent (
    id text primary key,
    name text not null,
    created_at timestamptz not null,
    -- Where it was last recorded: a hint while it stands in the world, exact once it has left.
    -- Coordinates reach 2^31, which an integer does not hold.
    chunk text not null,
    x bigint,
    y bigint,
    present boolean not null default false
) with (fillfactor = 80); -- The last four columns change often: new versions stay on the page.

create unique index agent_name on agent (lower(name));

create table api_key (
    key_id text primary key,
    agent text not null references agent,
    secret_hash bytea not null,
    label text not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

create index api_key_agent on api_key (agent);

create table session (
    id text primary key,
    agent text not null references agent,
    key_id text not null references api_key,
    token_hash bytea not null,
    challenge_secret bytea not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    -- The confirmed resume token, then the unconfirmed one if there is one.
    resume_hashes bytea[] not null,
    ended_at timestamptz
);

-- An agent has one live session, whatever two gateways do at once.
create unique index session_live on session (agent) where ended_at is null;
create index session_key on session (key_id) where ended_at is null;


-- Store a session as the agent's only live one; returns those that it ended. Asked again for the
-- same session (its first answer was lost) it gives the same answer and changes nothing.
create function open_session(
    new_id text, of_agent text, with_key text, new_token_hash bytea, new_challenge_secret bytea,
    new_scopes text[], opened_at timestamptz, until timestamptz, new_resume_hashes bytea[]
) returns setof text language plpgsql as $$
declare
    revoked timestamptz;
begin
    perform from agent where id = of_agent for no key update; -- One at a time for each agent.
    -- A revocation under way is waited for, and a later one will see this session.
    select revoked_at into revoked from api_key where key_id = with_key for share;
    if not exists (select from session where id = new_id) then
        update session set ended_at = opened_at where agent = of_agent and ended_at is null;
        insert into session values (
            new_id, of_agent, with_key, new_token_hash, new_challenge_secret,
            new_scopes, opened_at, until, new_resume_hashes,
            revoked -- A key revoked since it was checked opens nothing that lives.
        );
    end if;
    return query
        select id from session
        where agent = of_agent and ended_at = opened_at and id <> new_id order by id;
end $$;


-- Revoke a key and end its sessions; null when the agent has no such key.
-- Not one statement: that would not see a session opened while it waited for the key's lock.
create function revoke_key(of_agent text, that_key text, at timestamptz) returns text[]
language plpgsql as $$
declare
    ended text[];
begin
    update api_key set revoked_at = coalesce(revoked_at, at)
    where key_id = that_key and agent = of_agent;
    if not found then
        return null;
    end if;
    with closed as (
        update session set ended_at = at where key_id = that_key and ended_at is null returning id
    )
    select coalesce(array_agg(id order by id), '{}') into ended from closed;
    return ended;
end $$;
