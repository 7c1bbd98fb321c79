<?php
// The front controller of a forum that only counts its visitors.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
try {
    $database = new mysqli(getenv('DB_HOST'), getenv('DB_NAME'), getenv('DB_PASS'), getenv('DB_NAME'));
    $database->query('CREATE TABLE IF NOT EXISTS visit (id INT AUTO_INCREMENT PRIMARY KEY)');
    $database->query('INSERT INTO visit VALUES ()');
    echo 'visits: ', $database->query('SELECT COUNT(*) FROM visit')->fetch_row()[0], "\n";
} catch (mysqli_sql_exception $error) {
    http_response_code(503);
    echo "the database does not answer\n";
}
