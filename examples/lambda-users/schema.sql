-- The two timestamps hold UTC; the service never relies on the time zone of server or process.
create table if not exists users (
  id uuid primary key,
  name varchar(50) not null,
  email varchar(100) not null constraint users_email_key unique,
  created_at timestamp not null,
  updated_at timestamp not null
)
