-- Operators: their tokens, what they did, and what agents may no longer do.

create table operator_token (
    token_id text primary key,
    secret_hash bytea not null,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    label text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
);


-- What operators did. A call that changes something has its row before it is carried out, and its
-- outcome in a row beside it; all others are carried out when they are answered, and have both in
-- one. Nothing in either is ever changed.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    role text,
    action text not null,
    target text not null,
    trace_id text not null,
    status integer,
    result text
);

create index audit_changes on audit (id) where action not like 'GET %';

create table audit_outcome (
    id bigint primary key references audit,
    status integer not null,
    result text not null
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: what was done stays on record', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create trigger audit_stays before update or delete or truncate on audit
for each statement execute function refuse_change();

create trigger audit_outcome_stays before update or delete or truncate on audit_outcome
for each statement execute function refuse_change();


-- What agents may no longer do. Gateways ask for it when its version is a new one.
create table moderation (
    version bigint not null default 0,
    words text[] not null default '{}',
    one boolean primary key default true check (one)
);

insert into moderation default values;

create table mute (
    agent text primary key references agent,
    until timestamptz not null
);

alter table agent add column banned_at timestamptz;

create index session_agent on session (agent, created_at);


create function mute_agent(of_agent text, until_then timestamptz) returns boolean
language plpgsql as $$
begin
    if not exists (select from agent where id = of_agent) then
        return false;
    end if;
    update moderation set version = version + 1; -- Also: one at a time.
    delete from mute where until <= now();
    insert into mute (agent, until) values (of_agent, until_then)
        on conflict (agent) do update set until = excluded.until;
    return true;
end $$;


create function unmute_agent(of_agent text) returns boolean language plpgsql as $$
begin
    if not exists (select from agent where id = of_agent) then
        return false;
    end if;
    update moderation set version = version + 1;
    delete from mute where agent = of_agent;
    return true;
end $$;


-- End what lives of an agent's sessions, and ban it when asked to. Returns its latest session, which
-- is to be told, also when that is over already: who told it before may have failed. Null: there is
-- no such agent. Whoever opens a session locks the agent too, so it is ended here, or sees the ban.
create function end_agent(of_agent text, at timestamptz, for_good boolean) returns text[]
language plpgsql as $$
begin
    perform from agent where id = of_agent for no key update;
    if not found then
        return null;
    end if;
    if for_good then
        update agent set banned_at = coalesce(banned_at, at) where id = of_agent;
    end if;
    update session set ended_at = at where agent = of_agent and ended_at is null;
    return array(
        select id from session where agent = of_agent order by created_at desc, id desc limit 1
    );
end $$;


-- As before (0001_accounts.sql), but for a banned agent.
create or replace function open_session(
    new_id text, of_agent text, with_key text, new_token_hash bytea, new_challenge_secret bytea,
    new_scopes text[], opened_at timestamptz, until timestamptz, new_resume_hashes bytea[]
) returns setof text language plpgsql as $$
declare
    banned timestamptz;
    revoked timestamptz;
begin
    -- One at a time for each agent.
    select banned_at into banned from agent where id = of_agent for no key update;
    -- A revocation under way is waited for, and a later one will see this session.
    select revoked_at into revoked from api_key where key_id = with_key for share;
    if not exists (select from session where id = new_id) then
        update session set ended_at = opened_at where agent = of_agent and ended_at is null;
        insert into session values (
            new_id, of_agent, with_key, new_token_hash, new_challenge_secret,
            new_scopes, opened_at, until, new_resume_hashes,
            coalesce(revoked, banned) -- Since it was checked: then this opens nothing that lives.
        );
    end if;
    return query
        select id from session
        where agent = of_agent and ended_at = opened_at and id <> new_id order by id;
end $$;
