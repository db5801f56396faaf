import sqlalchemy


def test_a_fresh_database_is_empty_and_usable(database_url):
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE one (id integer)"))
        connection.execute(sqlalchemy.text("INSERT INTO one VALUES (7)"))
        assert connection.execute(sqlalchemy.text("SELECT id FROM one")).scalar_one() == 7
    assert sqlalchemy.inspect(engine).get_table_names() == ["one"]
    engine.dispose()
